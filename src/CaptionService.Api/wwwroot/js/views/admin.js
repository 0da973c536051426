// For admins: who has a key, and who changed what.
import { h } from '../dom.js';
import { get, send } from '../api.js';
import { keepKey, key as ownKey } from '../key.js';
import { busy, copyButton, empty, field, problemBox, table } from '../parts.js';
import { t, when } from '../i18n.js';

const page = 20;

/** Keys and changes; nothing for a key that may not see them. */
export async function admin(place) {
  try {
    await Promise.all([get('keys?limit=1'), get('audit?limit=1')]);
  } catch (problem) {
    if (problem.status !== 403) place.append(problemBox(problem));
    return;
  }
  const changes = h('section.card.stack', {});
  place.append(keys(() => showChanges(changes, page)), changes);
  showChanges(changes, page);
}

function keys(changed) {
  const list = h('div', {}), problem = h('div', {}), shown = h('div', { role: 'status' });
  const name = h('input', { type: 'text', required: true, maxlength: 100, autocomplete: 'off' });
  const scope = h('select', {});
  const days = h('input', { type: 'number', min: 1, max: 3650 });
  const make = h('button.primary', {}, t('keys.make'));
  const form = h('form.stack', { onsubmit: event => {
    event.preventDefault();
    busy(make, problem, async () => {
      const { key } = await send('POST', 'keys', { name: name.value, scope: scope.value, days: days.value ? Number(days.value) : null });
      if (!ownKey()) keepKey(key);      // the first: from now on this page needs one too
      shown.replaceChildren(h('p', {}, t('keys.once')), h('div.row', {}, h('code.secret', {}, key), copyButton(t('copy.text'), key)));
      form.reset();
      await load();
    });
  } }, h('div.fields', {}, field(t('keys.name'), name), field(t('keys.scope'), scope), field(t('keys.days'), days, t('keys.daysHelp'))), problem, h('div.row', {}, make));
  load();
  return h('section.card.stack', {}, h('h2', {}, t('keys.title')), list, shown, form);

  async function load() {
    try {
      const { keys: all } = await get('keys?limit=200');
      const scopes = all.length === 0 && !ownKey() ? ['admin'] : ['caption', 'train', 'admin'];      // without an admin's key nobody could make more
      scope.replaceChildren(...scopes.map(value => h('option', { value }, t(`keys.${value}`))));
      list.replaceChildren(all.length === 0 ? empty(t('keys.none'), t('keys.noneHelp'))
        : table(t('keys.title'), [t('keys.name'), t('keys.scope'), t('keys.prefix'), t('keys.made'), t('keys.used'), t('keys.ends'), ''], all.map(row)));
      changed();
    } catch (failure) {
      list.replaceChildren(problemBox(failure));
    }
  }

  function row(key) {
    const revoke = h('button.small.danger', { type: 'button', 'aria-label': `${t('keys.revoke')}: ${key.name}`, onclick: () => confirm(t('keys.revokeSure', { name: key.name })) && busy(revoke, problem, async () => {
      await send('DELETE', `keys/${key.id}`);
      await load();
    }) }, t('keys.revoke'));
    return [key.name, t(`keys.${key.scope}`), h('code', {}, `${key.prefix}…`), when(key.createdAt), key.lastUsedAt ? when(key.lastUsedAt) : '–',
      key.revokedAt ? t('keys.revoked', { when: when(key.revokedAt) }) : key.expiresAt ? when(key.expiresAt) : t('keys.never'), key.revokedAt ? '' : revoke];
  }
}

async function showChanges(place, most) {
  try {
    const { total, entries } = await get(`audit?limit=${most}`);
    const more = h('button', { type: 'button', onclick: () => showChanges(place, most + page) }, t('audit.more'));
    place.replaceChildren(h('h2', {}, t('audit.title')),
      total === 0 ? empty(t('audit.none'), t('audit.noneHelp'))
        : table(t('audit.title'), [t('audit.when'), t('audit.what'), t('audit.target'), t('audit.who'), t('audit.from')],
          entries.map(entry => [when(entry.at), h('code', {}, entry.action), h('code', {}, entry.target), entry.who ?? '–', entry.from ?? '–'])),
      total > entries.length && most < 200 ? h('div.row', {}, more) : '');
  } catch (problem) {
    place.replaceChildren(problemBox(problem));
  }
}
