// The API key, where the service asks for one: kept for this tab only.
import { h, newId } from './dom.js';
import { t } from './i18n.js';

const name = 'apiKey';
let asking = null;

/** The key, or null. */
export const key = () => sessionStorage.getItem(name);

/** Keeps it, from now on. */
export const keepKey = value => sessionStorage.setItem(name, value);

/** Forgets it. */
export const forgetKey = () => sessionStorage.removeItem(name);

/** Asks for a key after one was refused. Requests that fail together share one question. True: try again. */
export function askForKey(refused) {
  if (key() !== refused) return Promise.resolve(key() !== null);     // answered meanwhile
  asking ??= ask(refused).finally(() => { asking = null; });
  return asking;
}

function ask(refused) {
  return new Promise(resolve => {
    const id = newId();
    const input = h('input', { id, type: 'password', required: true, autocomplete: 'off', spellcheck: 'false' });
    const dialog = h('dialog', { 'aria-labelledby': `${id}t`, onclose: () => { dialog.remove(); resolve(dialog.returnValue === 'ok'); } },
      h('form', { method: 'dialog', onsubmit: () => { keepKey(input.value.trim()); dialog.returnValue = 'ok'; } },
        h('h2', { id: `${id}t` }, t('key.title')),
        h('p', {}, refused ? t('key.refused') : t('key.why')),
        h('label', { for: id }, t('key.label')), input,
        h('div.row', {},
          h('button.primary', { value: 'ok' }, t('key.use')),
          h('button', { type: 'button', onclick: () => dialog.close('') }, t('cancel')))));
    document.body.append(dialog);
    dialog.showModal();
  });
}
