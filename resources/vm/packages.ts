/** What goes into the VM's root. `npm run vm:lock` turns this into packages.lock.json. */

export type Arch = 'x64' | 'arm64';

/** Names of the same architecture at Debian, at npm and in a library path. */
export const ARCH_NAMES: Record<Arch, { debian: string; node: string; multiarch: string }> = {
  x64: { debian: 'amd64', node: 'x64', multiarch: 'x86_64-linux-gnu' },
  arm64: { debian: 'arm64', node: 'arm64', multiarch: 'aarch64-linux-gnu' },
};

/** Debian 13: kernel 6.12, crun 1.21, OpenSSH 10 */
export const SUITE = 'trixie';

/** Installed with all that they depend on, less OMIT. */
export function packageRoots(arch: Arch): string[] {
  return [
    `linux-image-${ARCH_NAMES[arch].debian}`,
    // what the engine drives
    'crun',
    'runc',
    'nftables',
    'libnftables1',
    'iproute2',
    'tini',
    'tar',
    'gzip',
    'xz-utils',
    'zstd',
    'libisal2',
    'procps',
    // contexts of builds that are repositories
    'git',
    // the data disk
    'e2fsprogs',
    'mount',
    'util-linux',
    // the way in
    'openssh-server',
    'openssh-client',
    // the computer's folders where it can't give them by 9p
    'sshfs',
    'bash',
    'busybox-static',
    'ca-certificates',
    // the computer's time zone, for containers that mount /etc/localtime
    'tzdata',
    'tzdata-legacy', // JavaScript says Asia/Calcutta, and Windows knows such names too
    // runs programs of the other architecture
    'qemu-user',
    // Node's libraries
    'libstdc++6',
    'libatomic1',
  ];
}

/**
 * Dependencies that only serve installing, a full Debian system or features that are off here. If one of them were needed
 * after all, the build would fail: it checks that every library an ELF file wants is there (elf.ts).
 */
export const OMIT: RegExp[] = [
  /^(apt|dpkg|perl-base|debconf|debianutils|ucf|adduser|passwd|login\.defs|sensible-utils|runit-helper|lsb-base)$/,
  /^(base-files|base-passwd|init-system-helpers|sysvinit-utils|logsave|linux-base|linux-image-(amd64|arm64))$/,
  /^(systemd|libsystemd-shared|udev|libapparmor1|dracut-install|initramfs-tools.*|klibc-utils|libklibc|cpio)$/,
  /^(kmod|libkmod2|coreutils|mawk|sed|openssh-sftp-server|openssl|openssl-provider-legacy)$/,
  /^(libpam-.*|libdebconfclient0|libtext-.*-perl|libsemanage.*|libsepol2|libaudit-common|libdb5\.3t64)$/,
  /^(libcap2-bin|libtirpc-common|gcc-\d+-base|libfido2-1|libcbor.*|libbz2-1\.0|libss2)$/,
  /^(perl|perl-modules.*|libperl.*|liberror-perl|git-man|libgdbm.*|libsasl2-modules.*|libldap-common|netbase)$/,
];

/** Paths in the packages that never reach the root. Patterns of `tar --exclude` without a leading slash. */
const PRUNE_PATHS: string[] = [
  'usr/share/doc',
  'usr/share/man',
  'usr/share/locale',
  'usr/share/info',
  'usr/share/lintian',
  'usr/share/bug',
  'usr/share/bash-completion',
  'usr/share/zsh',
  'usr/share/initramfs-tools',
  'usr/share/pam*',
  'usr/share/menu',
  'usr/share/gdb',
  'usr/share/apport',
  'usr/share/gcc*',
  'usr/share/nftables',
  'usr/lib/systemd',
  'usr/lib/udev',
  'usr/lib/tmpfiles.d',
  'usr/lib/sysusers.d',
  'usr/lib/*/gconv',
  'usr/lib/*/audit',
  'usr/lib/*/perl*',
  'usr/lib/*/engines-3',
  'usr/lib/*/ossl-modules',
  'usr/lib/tc',
  // of git what clones over http(s), with submodules
  'usr/bin/git-*',
  'usr/bin/scalar',
  'usr/lib/git-core/git',
  'usr/lib/git-core/mergetools',
  'usr/lib/git-core/scalar',
  'usr/lib/git-core/git-[!rs]*',
  'usr/lib/git-core/git-r[!e]*',
  'usr/lib/git-core/git-re[!m]*',
  'usr/lib/git-core/git-rem[!o]*',
  'usr/lib/git-core/git-s[!hu]*',
  'usr/lib/git-core/git-sh[!-]*',
  'usr/lib/git-core/git-sh-prompt',
  'usr/lib/git-core/git-subtree',
  'usr/share/git-core',
  'usr/share/gitweb',
  'usr/share/perl5',
  'usr/lib/openssh/ssh-sk-helper',
  'usr/lib/openssh/ssh-pkcs11-helper',
  'usr/lib/openssh/ssh-keysign',
  'usr/bin/ssh-agent',
  'usr/bin/ssh-add',
  'usr/bin/ssh-argv0',
  'usr/bin/ssh-copy-id',
  'usr/bin/ssh-keyscan',
  'usr/bin/perl*',
  'usr/sbin/tc',
  'usr/bin/tc',
  'usr/sbin/arpd',
  'usr/bin/localedef',
  'usr/bin/iconv',
  'usr/sbin/iconvconfig',
  'usr/sbin/e4crypt',
  'usr/sbin/debugfs',
  'usr/bin/sftp',
  'usr/bin/scp',
  'usr/sbin/mklost+found',
  'usr/sbin/filefrag',
  'usr/sbin/e2image',
  'usr/sbin/e4defrag',
  'usr/sbin/e2scrub*',
  'usr/sbin/sfdisk',
  'usr/sbin/fdisk',
  'usr/sbin/cfdisk',
  'usr/lib/*/*.a',
  'usr/lib/*/*.o',
  'etc/init.d',
  'etc/rc*.d',
  'etc/cron*',
  'etc/pam*',
  'etc/default',
  'etc/logcheck',
  'etc/ssh',
  'etc/ufw',
  'etc/kernel',
  'etc/apparmor*',
  'etc/systemd',
  'var',
];

/** Of the emulators only the one for the other architecture stays. */
export function prunePaths(arch: Arch): string[] {
  const others = ['[!ax]*', 'a[!a]*', 'aarch64_be', 'x[!8]*', arch === 'x64' ? 'x86_64' : 'aarch64'];
  return [...PRUNE_PATHS, ...others.map((name) => `usr/bin/qemu-${name}`)];
}

/** Kernel modules in the root; what they depend on comes along. Loaded on demand by the kernel (through modprobe) or init. */
export const ROOT_MODULES: string[] = [
  // disks and files
  'ext4',
  'overlay',
  'fuse',
  'erofs',
  'loop',
  '9p',
  '9pnet_virtio',
  'virtiofs',
  'squashfs',
  'isofs',
  'nls_utf8',
  'nls_cp437',
  'nls_ascii',
  'vfat',
  'nfs',
  'nfsv3',
  'nfsv4',
  'cifs',
  'binfmt_misc',
  'crc32c_generic',
  'crc32_pclmul',
  'crc32c-intel',
  // virtio
  'virtio_net',
  'virtio_balloon',
  'virtio_console',
  'virtio-rng',
  'virtio_blk',
  'virtio_pci',
  'virtio_mmio',
  'vsock',
  'vmw_vsock_virtio_transport',
  'qemu_fw_cfg',
  'button',
  'rtc-efi',
  'rtc-pl031',
  // container networks
  'bridge',
  'br_netfilter',
  'veth',
  'macvlan',
  'ipvlan',
  'vxlan',
  'dummy',
  'tun',
  'ifb',
  'wireguard',
  '8021q',
  'sctp',
  'ip_vs',
  'ip_vs_rr',
  'xfrm_user',
  'nf_tables',
  'nft_*',
  'nf_nat',
  'nf_conntrack',
  'nf_conntrack_netlink',
  'nf_conntrack_ftp',
  'nf_nat_ftp',
  'nf_log_syslog',
  'nfnetlink_log',
  'nfnetlink_queue',
  'nf_reject_ipv4',
  'nf_reject_ipv6',
  'ip_tables',
  'ip6_tables',
  'iptable_*',
  'ip6table_*',
  'ipt_*',
  'ip6t_*',
  'x_tables',
  'xt_*',
  'ip_set',
  'ip_set_*',
  'ip_gre',
  'ipip',
  'sit',
  'ip6_tunnel',
  'inet_diag',
  'tcp_diag',
  'udp_diag',
  'af_packet_diag',
  'sch_fq',
  'sch_fq_codel',
  'tcp_bbr',
];

/** Kernel modules in the initramfs: just enough to mount the root, in the order of their dependencies. */
export const INITRAMFS_MODULES: string[] = ['crc32c_generic', 'virtio_pci', 'virtio_blk', 'erofs'];

/** Not there on every architecture, or built into the kernel there. */
export const OPTIONAL_MODULES: RegExp = /^(crc32|rtc-|button|virtio_mmio|virtio|nls_|qemu_fw_cfg|fuse|.*_diag|sch_fq)/;
