export const logs = {
  follow: 'Follow',
  timestamps: 'Timestamps',
  search: 'Search the log',
  matches: 'no line | {n} line | {n} lines',
  clear: 'Clear view',
  copy: 'Copy',
  toEnd: 'To the newest line',
  empty: 'This container has not written anything yet.',
  ended: 'The log has ended.',
  dropped: '{n} earlier lines are not kept here.',
  region: 'Log of {name}',
};
