'use strict';
// The gallery. Every text is set as text, never as HTML.

const data = JSON.parse(document.getElementById('data').textContent);
const NONE = data.counts[0].length; // One step above a score of 1.
const state = {
  minScores: [...data.min_scores], // null if the class has no label
  group: 0,
  place: 0, // in the group, counted from 0
};
const byId = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// The scores are 32-bit numbers, and they are compared as such.
function isLabel(box) {
  const minScore = state.minScores[box[4]];
  return minScore !== null && Math.fround(box[5]) >= Math.fround(minScore);
}

function color(label) {
  // Hues are a golden angle apart, and light and dark colors alternate, so
  // that neighboring classes differ most.
  return `hsl(${(label * 137.5) % 360} 95% ${label % 2 ? 72 : 58}%)`;
}

const shownScore = (score) => (score === null ? 'none' : score.toFixed(3));

function views(number) {
  return data.num_views ? `${number} of ${data.num_views} views` : `${number} views`;
}

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

function boxElement(box, image, isLarge) {
  const element = make('div', { className: 'box' });
  element.style.setProperty('--color', color(box[4]));
  element.dataset.tip =
    `${isolate(data.classes[box[4]])} · score ${shownScore(box[5])} · ${views(box[6])}`;
  if (isLarge) {
    const name = make('span', { textContent: data.classes[box[4]] });
    if (box[1] < 0.06 * image.height) name.className = 'inside';
    element.append(name);
  }
  return place(element, box, image);
}

function truthElement(object, image) {
  const kind = object[5] ? ', a crowd' : '';
  const element = make('div', { className: 'box true' });
  element.dataset.tip = `truth: ${isolate(data.classes[object[4]])}${kind}`;
  return place(element, object, image);
}

const SVG = 'http://www.w3.org/2000/svg';

// The outlines of masks lie below the boxes, which can be pointed at.
function maskElement(path, label, kind) {
  const element = document.createElementNS(SVG, 'path');
  element.setAttribute('d', path);
  element.setAttribute('class', kind);
  element.style.setProperty('--color', color(label));
  return element;
}

function masksElement(truth, boxes, image) {
  const element = document.createElementNS(SVG, 'svg');
  element.setAttribute('viewBox', `0 0 ${image.width} ${image.height}`);
  element.setAttribute('preserveAspectRatio', 'none');
  element.setAttribute('class', 'masks');
  element.append(
    ...truth.filter((object) => object[6])
      .map((object) => maskElement(object[6], object[4], 'true')),
    ...boxes.filter((box) => box[7]).map((box) => maskElement(box[7], box[4], 'mask')),
  );
  return element;
}

function drawBoxes(overlay, image, isLarge) {
  const truth = byId('truth').checked ? image.truth || [] : [];
  overlay.replaceChildren(
    masksElement(truth, image.boxes.filter(isLabel), image),
    ...truth.map((object) => truthElement(object, image)),
    ...image.boxes.filter(isLabel).map((box) => boxElement(box, image, isLarge)),
  );
}

function picture(image, isLarge) {
  const text = image.src ? '' : `no picture: ${image.reason}`;
  const shown = image.src
    ? make('img', { src: image.src, alt: '', decoding: 'async' })
    : make('p', { className: 'nothing', textContent: text });
  const overlay = make('div', { className: 'overlay' });
  const frame = make('div', { className: 'frame' }, shown, overlay);
  frame.style.setProperty('--ratio', image.width / image.height);
  drawBoxes(overlay, image, isLarge);
  return frame;
}

// -------------------------------------------------------------- gallery

const group = () => data.groups[state.group];
const imageAt = (at) => data.images[group().images[at]];
const numLabels = (image) => image.boxes.filter(isLabel).length;
const sum = (values) => values.reduce((total, value) => total + value, 0);

function boxesText(image) {
  const number = numLabels(image);
  return `${number} ${number === 1 ? 'box' : 'boxes'}`;
}

function drawGroups() {
  data.groups.forEach(({ name }, number) => {
    const radio = make('input', {
      type: 'radio', name: 'group', checked: number === state.group,
    });
    radio.addEventListener('change', () => {
      Object.assign(state, { group: number, place: 0 });
      drawThumbnails();
      drawLarge();
    });
    byId('groups').append(make('label', {}, radio, make('span', { textContent: name })));
  });
}

function drawThumbnails() {
  byId('thumbnails').replaceChildren(...group().images.map((_, at) => {
    const image = imageAt(at);
    const count = make('span', { className: 'count', textContent: boxesText(image) });
    const button = make('button', { type: 'button' }, picture(image, false), count);
    button.setAttribute('aria-label', `${image.name}, ${boxesText(image)}`);
    button.addEventListener('click', () => step(at - state.place));
    return make('li', {}, button);
  }));
}

function drawLarge() {
  const image = imageAt(state.place);
  byId('caption').textContent = `${isolate(image.name)} (${state.place + 1} of ${group().images.length})`;
  byId('large').replaceChildren(picture(image, true));
  byId('truth-switch').hidden = !image.truth;
  [...byId('thumbnails').children].forEach(({ firstChild }, at) => {
    firstChild.setAttribute('aria-pressed', String(at === state.place));
  });
  drawCounts();
}

function drawCounts() {
  const image = imageAt(state.place);
  const labeled = sum(data.labeled_rates).toFixed(2);
  byId('counts').textContent =
    `${boxesText(image)}; a labeled image has ${labeled} on average`;
  byId('rows').replaceChildren(...image.boxes.filter(isLabel)
    .sort((one, other) => other[5] - one[5])
    .map((box) => make('tr', {},
      make('td', { textContent: data.classes[box[4]] }),
      make('td', { className: 'number', textContent: shownScore(box[5]) }),
      make('td', { className: 'number', textContent: views(box[6]) }))));
}

function step(by) {
  const length = group().images.length;
  state.place = (state.place + by + length) % length;
  drawLarge();
  const current = byId('thumbnails').children[state.place];
  const strip = byId('thumbnails');
  strip.scrollTo({ left: current.offsetLeft - strip.clientWidth / 2, top: current.offsetTop - 8 });
}

function redrawBoxes() {
  [...byId('thumbnails').children].forEach(({ firstChild }, at) => {
    const image = imageAt(at);
    drawBoxes(firstChild.querySelector('.overlay'), image, false);
    firstChild.querySelector('.count').textContent = boxesText(image);
    firstChild.setAttribute('aria-label', `${image.name}, ${boxesText(image)}`);
  });
  drawBoxes(byId('large').querySelector('.overlay'), imageAt(state.place), true);
  drawCounts();
}

// -------------------------------------------------------------- sliders

function numSelected(label) {
  const minScore = state.minScores[label];
  if (minScore === null) return 0;
  if (minScore === data.min_scores[label]) return data.chosen_counts[label];
  return data.counts[label][Math.round(minScore * 100)];
}

const position = (score) => (score === null ? NONE : Math.round(score * 100));
const scoreAt = (value) => (Number(value) >= NONE ? null : Number(value) / 100);

const share = (part, whole) => (whole ? (part / whole).toFixed(2) : '-');

// The right labels, all labels and the objects of a class, on the images that
// were compared with the truth.
function matched(label) {
  const { truth, right, found, chosen } = data.quality[label];
  const minScore = state.minScores[label];
  if (minScore === null) return [0, 0, truth];
  if (minScore === data.min_scores[label]) return [...chosen, truth];
  const at = Math.round(minScore * 100);
  return [right[at], found[at], truth];
}

function qualityText(labels) {
  if (!data.quality) return '';
  const counts = labels.map(matched);
  const [right, found, truth] = [0, 1, 2].map((n) => sum(counts.map((one) => one[n])));
  return ` · precision ${share(right, found)}, recall ${share(right, truth)}`;
}

function rateText(numLabels, labeledRate, labels) {
  const rate = numLabels / data.num_images;
  return `${rate.toFixed(2)} per image · labeled ${labeledRate.toFixed(2)}${qualityText(labels)}`;
}

function makeSlider(name, id, swatch, onInput) {
  const range = make('input', { type: 'range', id, min: 0, max: NONE, step: 1 });
  const output = make('output');
  output.setAttribute('for', id);
  const rate = make('span', { className: 'rates', id: `${id}-rate` });
  range.setAttribute('aria-describedby', rate.id);
  range.addEventListener('input', () => onInput(scoreAt(range.value)));
  const label = make('label', { htmlFor: id }, ...swatch, make('span', { textContent: name }));
  return make('div', { className: 'slider' }, label, output, range, rate);
}

function setSlider(slider, score, text, rate) {
  const range = slider.querySelector('input');
  range.value = position(score);
  range.setAttribute('aria-valuetext', text);
  slider.querySelector('output').textContent = text;
  slider.querySelector('.rates').textContent = rate;
}

function drawSliders() {
  const all = makeSlider('All classes', 'score-all', [], (score) => {
    state.minScores.fill(score);
    changed();
  });
  byId('all').append(all);
  data.classes.forEach((name, label) => {
    const swatch = make('span', { className: 'swatch' });
    swatch.style.setProperty('--color', color(label));
    byId('sliders').append(makeSlider(name, `score-${label}`, [swatch], (score) => {
      state.minScores[label] = score;
      changed();
    }));
  });
  byId('find').hidden = data.classes.length <= 12;
}

function updateSliders() {
  const numbers = data.classes.map((_, label) => numSelected(label));
  [...byId('sliders').children].forEach((slider, label) => {
    const score = state.minScores[label];
    setSlider(slider, score, shownScore(score), rateText(numbers[label], data.labeled_rates[label], [label]));
  });
  const scores = new Set(state.minScores);
  const first = state.minScores[0];
  const text = scores.size === 1 ? shownScore(first) : 'by class';
  setSlider(byId('all').firstChild, first, text, rateText(sum(numbers), sum(data.labeled_rates), [...numbers.keys()]));
}

function updateCommand() {
  const { before, names, after } = data.command;
  const scores = names.map((name, label) => `${name}=${state.minScores[label] ?? 'none'}`);
  byId('command').value = [before, ...scores, after].filter(Boolean).join(' ');
}

let isWaiting = false;
function changed() {
  updateSliders();
  updateCommand();
  if (isWaiting) return;
  isWaiting = true;
  requestAnimationFrame(() => {
    isWaiting = false;
    redrawBoxes();
  });
}

// --------------------------------------------------------------- events

function onKey(event) {
  const { tagName, type } = event.target;
  const isText = tagName === 'TEXTAREA' || type === 'search';
  if (isText || event.ctrlKey || event.altKey || event.metaKey) return;
  const usesArrows = tagName === 'INPUT' && type !== 'checkbox';
  const steps = { n: 1, p: -1, ...(usesArrows ? {} : { ArrowRight: 1, ArrowLeft: -1 }) };
  if (event.key in steps) {
    step(steps[event.key]);
    event.preventDefault();
  } else if (event.key === 't' && !byId('truth-switch').hidden) {
    byId('truth').click();
  }
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

async function copyCommand() {
  const area = byId('command');
  area.select();
  try {
    await navigator.clipboard.writeText(area.value);
    byId('copied').textContent = 'Copied.';
  } catch {
    byId('copied').textContent = document.execCommand('copy')
      ? 'Copied.' : 'The command is selected: copy it with the keyboard.';
  }
}

function listen() {
  const gallery = byId('gallery');
  gallery.addEventListener('keydown', onKey);
  gallery.addEventListener('pointermove', showTip);
  gallery.addEventListener('pointerdown', showTip);
  gallery.addEventListener('pointerleave', () => { byId('tip').hidden = true; });
  byId('previous').addEventListener('click', () => step(-1));
  byId('next').addEventListener('click', () => step(1));
  byId('truth').addEventListener('change', redrawBoxes);
  byId('copy').addEventListener('click', copyCommand);
  byId('reset').addEventListener('click', () => {
    state.minScores = [...data.min_scores];
    changed();
  });
  byId('search').addEventListener('input', ({ target }) => {
    const text = target.value.toLowerCase();
    [...byId('sliders').children].forEach((slider, label) => {
      slider.hidden = !data.classes[label].toLowerCase().includes(text);
    });
  });
}

drawGroups();
drawSliders();
drawThumbnails();
drawLarge();
updateSliders();
updateCommand();
listen();
