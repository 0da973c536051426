// Elements without a framework. Text is always set as text, never parsed as HTML.

/** h('button.primary', { onclick, disabled: true }, 'Save'): tag and classes, attributes and listeners, children. */
export function h(selector, attributes = {}, ...children) {
  const [tag, ...classes] = selector.split('.');
  return fill(document.createElement(tag), classes, attributes, children);
}

/** The same for SVG. */
export function svg(selector, attributes = {}, ...children) {
  const [tag, ...classes] = selector.split('.');
  return fill(document.createElementNS('http://www.w3.org/2000/svg', tag), classes, attributes, children);
}

function fill(element, classes, attributes, children) {
  if (classes.length > 0) element.classList.add(...classes);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

let last = 0;

/** An id for a label or a description. */
export const newId = () => `e${++last}`;

/** Says something to screen readers, without moving the focus. */
export function announce(text) {
  const region = document.getElementById('announcements');
  if (region) region.textContent = text;
}

/** Calls a function again and again while an element is in the page. */
export function whileShown(element, milliseconds, work) {
  const timer = setInterval(() => element.isConnected ? document.hidden || work() : clearInterval(timer), milliseconds);
}
