export interface NetworkMember {
  id: string;
  name: string;
  status: string;
  ipv4: string;
  ipv6: string;
  mac: string;
  aliases: string[];
}

export interface NetworkRow {
  id: string;
  name: string;
  driver: string;
  scope: string;
  internal: boolean;
  ipv6: boolean;
  subnets: { subnet: string; gateway: string }[];
  createdAt: number;
  labels: Record<string, string>;
  /** bridge, host, none: always there */
  builtin: boolean;
  members: NetworkMember[];
}

export interface NetworkWish {
  name: string;
  driver: string;
  /** empty: chosen by the engine */
  subnet: string;
  gateway: string;
  internal: boolean;
  ipv6: boolean;
  labels: Record<string, string>;
}

export interface NetworksContract {
  list(): Promise<NetworkRow[]>;
  create(wish: NetworkWish): Promise<string>;
  remove(id: string): Promise<void>;
  /** those without containers; answers with their names */
  prune(): Promise<string[]>;
  connect(id: string, container: string, options: { aliases: string[]; ipv4: string }): Promise<void>;
  disconnect(id: string, container: string): Promise<void>;
}
