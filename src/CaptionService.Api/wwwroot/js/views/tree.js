// The captions of a language as a tree: what they have in common is written once. The API does not give the beams that were
// given up on the way, so these are the ones that reached an end.
import { h } from '../dom.js';
import { percent, t } from '../i18n.js';

/** A tree that can be opened, branch by branch. */
export function captionTree(captions) {
  const root = node();
  for (const caption of captions) {
    let at = root;
    for (const word of caption.words) {
      if (!at.next.has(word.text)) at.next.set(word.text, node(word.probability));
      at = at.next.get(word.text);
    }
    at.ends.push(caption);
  }
  return h('details.tree', {}, h('summary', {}, t('caption.tree')), h('p.fine', {}, t('caption.treeHelp')), branches(root, captions[0].language));
}

const node = probability => ({ probability, next: new Map(), ends: [] });

// Words follow each other in a line until the captions part.
function branches(from, language) {
  return h('ul', {}, [...from.next].map(([text, start]) => {
    const line = [word(text, start)];
    let at = start;
    while (at.next.size === 1 && at.ends.length === 0) {
      const [[following, next]] = at.next;
      line.push(' ', word(following, next));
      at = next;
    }
    const ends = at.ends.map(caption => h('span.rank', {}, ` ${t('caption.rank', { rank: caption.rank })}`));
    return h('li', { lang: language }, at.next.size === 0 ? [line, ends] : h('details', { open: true }, h('summary', {}, line, ends), branches(at, language)));
  }));
}

const word = (text, { probability }) => h('span', { title: percent(probability) }, text, h('sub', {}, percent(probability)));
