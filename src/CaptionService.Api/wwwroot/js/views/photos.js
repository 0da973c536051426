// Photos of a data set: fetched, so that a key goes with them, a few at a time and only when they come into view.
import { h } from '../dom.js';
import { request } from '../api.js';

const urls = new Map();       // kept while the page is open: the same photos are shown again and again

const watcher = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    load(target);
  }
}, { rootMargin: '200px' });

/** An image of a photo; a data set of features alone has none. */
export function photoOf(dataset, name, alt = '') {
  const image = h('img', { alt, 'data-path': `datasets/${dataset}/photos/${encodeURIComponent(name)}` });
  watcher.observe(image);
  return h('div.thumb', {}, image);
}

async function load(image) {
  const { path } = image.dataset;
  try {
    if (!urls.has(path)) urls.set(path, request(path).then(response => response.blob()).then(URL.createObjectURL));
    image.src = await urls.get(path);
  } catch {
    urls.delete(path);
    image.parentElement.classList.add('none');
  }
}
