export const welcome = {
  title: 'Welcome aboard',
  text: 'Run a first container: its image is here already, no network is needed. It opens in the browser.',
  run: 'Run the welcome container',
  orPaste: 'Or use docker in a terminal; what runs shows up here at once.',
  one: 'For one terminal',
  all: 'For all terminals',
  next: 'Then',
  failed: 'The welcome container was not started',
};
