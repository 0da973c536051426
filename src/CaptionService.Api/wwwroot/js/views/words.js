// A caption as words that can be looked at: one stop of the Tab key, arrow keys inside, as a toolbar.
import { h } from '../dom.js';
import { percent, t } from '../i18n.js';
import { region } from './attention.js';

/** The sentence; look(word) is called as a word is hovered or focused, look(null) when it is left. */
export function sentence(caption, look) {
  const pieces = split(caption);
  const buttons = [];
  const content = pieces.map(({ text, word }) => {
    if (!word) return text;
    const where = word.attention ? t('caption.looked', { where: t(region(word.attention)) }) : '';
    const button = h('button.word', {
      type: 'button', tabindex: buttons.length === 0 ? '0' : '-1',
      'aria-label': [text, percent(word.probability), where].filter(Boolean).join(', '),
      onmouseenter: () => look(word), onmouseleave: () => look(null), onfocus: () => look(word), onblur: () => look(null),
    }, text);
    buttons.push(button);
    return button;
  });
  return h('div.sentence', { role: 'toolbar', lang: caption.language, 'aria-label': caption.text, onkeydown: move }, content);

  function move(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = Math.min(Math.max(buttons.indexOf(event.target) + step, 0), buttons.length - 1);
    buttons.forEach((button, i) => button.setAttribute('tabindex', i === next ? '0' : '-1'));
    buttons[next].focus();
  }
}

// The words in the sentence as it is written: with its capital, full stop and spaces.
function split({ text, words }) {
  const pieces = [], lower = text.toLowerCase();
  let at = 0;
  for (const word of words ?? []) {
    const found = lower.indexOf(word.text.toLowerCase(), at);
    if (found < 0) continue;
    if (found > at) pieces.push({ text: text.slice(at, found) });
    pieces.push({ text: text.slice(found, found + word.text.length), word });
    at = found + word.text.length;
  }
  if (at < text.length) pieces.push({ text: text.slice(at) });
  return pieces;
}
