// Two texts with what only one of them says marked.
import { h } from './dom.js';

/** Both texts as nodes: the words that the other does not have, in the order of its words, stand in a mark. */
export function marked(one, other, language) {
  const [a, b] = [pieces(one, language), pieces(other, language)];
  const shared = common(a.filter(piece => piece.word), b.filter(piece => piece.word));
  return [nodes(a, shared), nodes(b, shared)];
}

// Words, also where no spaces are between them, and what stands between.
const pieces = (text, language) => [...new Intl.Segmenter(language, { granularity: 'word' }).segment(text)]
  .map(({ segment, isWordLike }) => ({ text: segment, word: isWordLike ? segment.toLocaleLowerCase(language) : null }));

// The longest sequence of words that both have, as the pieces of both.
function common(a, b) {
  const length = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--) {
    length[i][j] = a[i].word === b[j].word ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
  }
  const shared = new Set();
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (a[i].word === b[j].word) { shared.add(a[i++]); shared.add(b[j++]); } else if (length[i + 1][j] >= length[i][j + 1]) i++; else j++;
  }
  return shared;
}

// Words that follow each other share a mark, with what is between them.
function nodes(all, shared) {
  const found = [];
  let own = [], between = [];
  const close = () => { if (own.length > 0) found.push(h('mark', {}, own.join(''))); found.push(...between); [own, between] = [[], []]; };
  for (const piece of all) {
    if (!piece.word) between.push(piece.text);
    else if (shared.has(piece)) { close(); found.push(piece.text); } else { if (own.length === 0) close(); own.push(...between, piece.text); between = []; }
  }
  close();
  return found;
}
