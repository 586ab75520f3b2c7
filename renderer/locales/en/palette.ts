export const palette = {
  title: 'Command palette',
  placeholder: 'Find pages, containers, images and actions …',
  pages: 'Pages',
  containers: 'Containers',
  images: 'Images',
  actions: 'Actions',
  empty: 'Nothing found',
};
