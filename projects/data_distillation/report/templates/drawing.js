'use strict';
// What the galleries share. Every text is set as text, never as HTML.

const byId = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// The scores are 32-bit numbers, and they are compared as such.
const isFrom = (score, minScore) => Math.fround(score) >= Math.fround(minScore);
const shownScore = (score) => (score === null ? 'none' : score.toFixed(3));

const share = (part, whole) => (whole ? (part / whole).toFixed(2) : '-');
const sum = (values) => values.reduce((total, value) => total + value, 0);

// ---------------------------------------------------------------- boxes

function place(element, [x, y, width, height], image) {
  Object.assign(element.style, {
    left: `${(100 * x) / image.width}%`,
    top: `${(100 * y) / image.height}%`,
    width: `${(100 * width) / image.width}%`,
    height: `${(100 * height) / image.height}%`,
  });
  return element;
}

// A name in Arabic, or with a mark that reverses what follows, would move or
// mirror the numbers beside it.
const OTHER_DIRECTION = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufeff]/;
const isolate = (name) => (OTHER_DIRECTION.test(name) ? `\u2068${name}\u2069` : name);

// The large boxes have their names, which must not leave the picture.
function addName(element, text, [, y], image) {
  const name = make('span', { textContent: text });
  if (y < 0.06 * image.height) name.className = 'inside';
  element.append(name);
}

function truthElement(object, image, classes) {
  const kind = object[5] ? ', a crowd' : '';
  const element = make('div', { className: 'box true' });
  element.dataset.tip = `truth: ${isolate(classes[object[4]])}${kind}`;
  return place(element, object, image);
}

// The picture of an image, with an empty layer for its boxes.
function makeFrame(image) {
  const text = image.src ? '' : `no picture: ${image.reason}`;
  const shown = image.src
    ? make('img', { src: image.src, alt: '', decoding: 'async' })
    : make('p', { className: 'nothing', textContent: text });
  const overlay = make('div', { className: 'overlay' });
  const frame = make('div', { className: 'frame' }, shown, overlay);
  frame.style.setProperty('--ratio', image.width / image.height);
  return frame;
}

// --------------------------------------------------------------- groups

function makeGroups(fieldset, names, onChoice) {
  names.forEach((text, number) => {
    const radio = make('input', {
      type: 'radio', name: fieldset.id, checked: number === 0,
    });
    radio.addEventListener('change', () => onChoice(number));
    fieldset.append(make('label', {}, radio, make('span', { textContent: text })));
  });
}

// Why an image is in a group; most groups have no reasons.
function showReason(id, { reasons }, place) {
  byId(id).textContent = reasons[place] ?? '';
  byId(id).hidden = !reasons.length;
}

function pressThumbnail(strip, place) {
  [...strip.children].forEach(({ firstChild }, at) => {
    firstChild.setAttribute('aria-pressed', String(at === place));
  });
}

function scrollToThumbnail(strip, place) {
  const { offsetLeft, offsetTop } = strip.children[place];
  strip.scrollTo({ left: offsetLeft - strip.clientWidth / 2, top: offsetTop - 8 });
}

// --------------------------------------------------------------- events

// `truth` is the switch of the true objects, in its label.
function listenToKeys(section, step, truth) {
  section.addEventListener('keydown', (event) => {
    const { tagName, type } = event.target;
    const isText = tagName === 'TEXTAREA' || type === 'search';
    if (isText || event.ctrlKey || event.altKey || event.metaKey) return;
    const usesArrows = tagName === 'INPUT' && type !== 'checkbox';
    const steps = { n: 1, p: -1, ...(usesArrows ? {} : { ArrowRight: 1, ArrowLeft: -1 }) };
    if (event.key in steps) {
      step(steps[event.key]);
      event.preventDefault();
    } else if (event.key === 't' && !truth.parentElement.hidden) {
      truth.click();
    }
  });
}

function showTip(event) {
  const tip = byId('tip');
  const box = event.target.closest('.box');
  tip.hidden = !box;
  if (!box) return;
  tip.textContent = box.dataset.tip;
  const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - tip.offsetWidth - 8);
  Object.assign(tip.style, { left: `${Math.max(left, 8)}px`, top: `${event.clientY + 18}px` });
}

function showTips(section) {
  section.addEventListener('pointermove', showTip);
  section.addEventListener('pointerdown', showTip);
  section.addEventListener('pointerleave', () => { byId('tip').hidden = true; });
}
