// Parts that several views share.
import { announce, h, newId } from './dom.js';
import { t } from './i18n.js';

/** A problem as the service tells it: its texts are English. */
export function problemBox(problem) {
  return h('div.problem', { role: 'alert' },
    h('strong', { lang: 'en' }, problem.title ?? problem.message),
    problem.detail ? h('p', { lang: 'en' }, problem.detail) : null,
    problem.traceId ? h('p.fine', {}, t('problem.trace', { id: problem.traceId })) : null);
}

/** Runs work for a button: disabled meanwhile, and what fails is told in a place. */
export async function busy(button, place, work) {
  button.disabled = true;
  place.replaceChildren();
  try {
    await work();
  } catch (problem) {
    place.replaceChildren(problemBox(problem));
  } finally {
    button.disabled = false;
  }
}

/** A value with an explanation that opens on hover and on focus. */
export function explained(selector, content, explanation) {
  const id = newId();
  return h('span.tip', {}, h(`button.${selector}`, { type: 'button', 'aria-describedby': id }, content), h('span', { role: 'tooltip', id }, explanation));
}

/** A button that copies a text and says so. */
export function copyButton(label, text) {
  const button = h('button.small', { type: 'button', onclick: async () => {
    await copy(typeof text === 'function' ? text() : text);
    button.textContent = t('copied');
    announce(t('copied'));
    setTimeout(() => { button.textContent = label; }, 1500);
  } }, label);
  return button;
}

async function copy(text) {
  if (navigator.clipboard && isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  // Plain http from another machine: only the old way is allowed.
  const area = h('textarea', { class: 'hidden' });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand('copy');
  area.remove();
}

/** What stands where there is nothing yet. */
export const empty = (title, text) => h('div.empty', {}, h('strong', {}, title), h('p', {}, text));

/** A field: label, control, help. */
export function field(label, control, help) {
  const id = newId();
  control.id = id;
  if (help) control.setAttribute('aria-describedby', `${id}h`);
  return h('div.field', {}, h('label', { for: id }, label), control, help ? h('p.fine', { id: `${id}h` }, help) : null);
}

/** A table that scrolls by itself; a head without text is that of buttons. The columns from the number on are right-aligned. */
export function table(name, heads, rows, numbersFrom = Infinity) {
  const kind = i => i >= numbersFrom ? '.number' : '';
  return h('div.scroll', { tabindex: '0', role: 'region', 'aria-label': name }, h('table', {},
    h('thead', {}, h('tr', {}, heads.map((text, i) => h(`th${kind(i)}`, { scope: 'col' }, text || h('span.hidden', {}, t('models.actions')))))),
    h('tbody', {}, rows.map(cells => h('tr', {},
      cells.map((cell, i) => i === 0 ? h('th', { scope: 'row' }, cell) : h(`td${kind(i)}`, {}, cell)))))));
}
