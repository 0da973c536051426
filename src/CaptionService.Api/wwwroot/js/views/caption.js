// Photos in, captions out: drop, paste, pick or photograph.
import { announce, h } from '../dom.js';
import { get, request } from '../api.js';
import { empty, problemBox } from '../parts.js';
import { t } from '../i18n.js';
import { captionCard, told } from './captionCard.js';
import { showFeedback } from './correct.js';
import { altSwitch, languageChoice, optionPanel, query } from './options.js';

const atOnce = 3;           // requests under way: the service batches what waits, and answers come as they are ready
const photos = [];          // outlives the view
let next = 0, running = 0, shown = () => {};

export default function caption(main) {
  const input = h('input.hidden', { type: 'file', accept: 'image/*', multiple: true, id: 'pick', onchange: () => take(input) });
  const camera = h('input.hidden', { type: 'file', accept: 'image/*', capture: 'environment', id: 'photograph', onchange: () => take(camera) });
  const drop = h('div.drop', {},
    h('p.invite', {}, t('caption.drop')),
    h('div.row', {},
      input, h('label.button.primary', { for: 'pick' }, t('caption.pick')),
      navigator.maxTouchPoints > 0 ? [camera, h('label.button', { for: 'photograph' }, t('caption.photograph'))] : null),
    h('p.fine', {}, t('caption.formats')));
  const controls = h('div.controls', {});
  const tools = h('div.row.tools', {});
  const feedback = h('div.feedback', {}), list = h('div.photos', {});
  main.append(h('h1', {}, t('caption.title')), drop, controls, tools, feedback, list);

  const cards = new Map();
  shown = changed => {
    for (const photo of changed ?? photos) {
      const card = captionCard(photo, () => ask([photo]), () => remove(photo), () => showFeedback(feedback));
      if (cards.has(photo)) cards.get(photo).replaceWith(card); else list.append(card);
      cards.set(photo, card);
    }
    for (const [photo, card] of cards) if (!photos.includes(photo)) { card.remove(); cards.delete(photo); }
    list.classList.toggle('single', photos.length === 1);
    drop.classList.toggle('compact', photos.length > 0);
    tools.replaceChildren(...(photos.length === 0 ? [] : [
      h('button', { type: 'button', onclick: () => ask(photos) }, t('caption.again')),
      h('button', { type: 'button', onclick: () => { for (const photo of [...photos]) remove(photo); } }, t('caption.clear')),
      photos.length > 1 && h('span.fine', {}, t('caption.progress', { done: photos.filter(photo => photo.answer || photo.problem).length, all: photos.length })),
    ].filter(Boolean)));
  };
  shown();
  models(controls, () => showFeedback(feedback), () => shown());

  const paste = event => event.clipboardData.files.length > 0 && add(event.clipboardData.files);
  const over = event => { event.preventDefault(); drop.classList.add('over'); };
  const out = event => { if (event.relatedTarget === null) drop.classList.remove('over'); };
  const dropped = event => { event.preventDefault(); drop.classList.remove('over'); add(event.dataTransfer.files); };
  const listeners = { paste, dragover: over, dragleave: out, drop: dropped };
  for (const [name, listener] of Object.entries(listeners)) document.addEventListener(name, listener);
  return () => {
    shown = () => {};
    for (const [name, listener] of Object.entries(listeners)) document.removeEventListener(name, listener);
  };
}

// Once the languages are known, so is the feedback in them; cards that are there already show it then.
async function models(controls, languagesChosen, known) {
  try {
    const { models: all } = await get('models');
    controls.replaceChildren(...(all.length === 0 ? [empty(t('models.loading'), t('models.loadingHelp'))] : [languageChoice(all, languagesChosen), altSwitch(() => {}), optionPanel(all, () => {})]));
    if (all.length === 0) setTimeout(() => controls.isConnected && models(controls, languagesChosen, known), 2000);
    else languagesChosen().then(known);
  } catch (problem) {
    controls.replaceChildren(problemBox(problem));
  }
}

function take(input) {
  add(input.files);
  input.value = '';       // the same photo may be picked again
}

function add(files) {
  const added = [...files].map(file => ({ id: ++next, file, name: file.name, url: URL.createObjectURL(file), state: 'waiting' }));
  photos.push(...added);
  ask(added);
}

function remove(photo) {
  URL.revokeObjectURL(photo.url);
  photos.splice(photos.indexOf(photo), 1);
  shown([]);
}

function ask(asked) {
  for (const photo of asked) Object.assign(photo, { state: 'waiting', answer: null, problem: null, query: query() });
  shown(asked);
  while (running < atOnce && photos.some(photo => photo.state === 'waiting')) work();
}

async function work() {
  running++;
  for (let photo; (photo = photos.find(each => each.state === 'waiting')) !== undefined;) {
    photo.state = 'working';
    shown([photo]);
    try {
      photo.answer = await captioned(photo);
      photo.state = 'done';
      announce(`${photo.name}: ${told(photo.answer.results[0].captions[0])}`);
    } catch (problem) {
      Object.assign(photo, { problem, state: 'refused' });
    }
    if (photos.includes(photo)) shown([photo]);
  }
  running--;
}

async function captioned(photo) {
  const form = new FormData();
  form.append('photo', photo.file, photo.name);
  const asked = new URLSearchParams(photo.query);
  asked.set('include', 'attention');
  for (let tries = 0; ; tries++) {
    try {
      return await (await request(`captions?${asked}`, { method: 'POST', body: form })).json();
    } catch (problem) {
      if (![429, 503].includes(problem.status) || tries >= 3) throw problem;
      await new Promise(resolve => setTimeout(resolve, 1000 * (problem.retryAfter || 5)));
    }
  }
}
