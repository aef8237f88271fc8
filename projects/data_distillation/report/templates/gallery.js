// The gallery of the pseudo labels.

const data = JSON.parse(document.getElementById('data').textContent);
const NONE = data.counts[0].length; // One step above a score of 1.
const state = {
  minScores: [...data.min_scores], // null if the class has no label
  group: 0,
  place: 0, // in the group, counted from 0
};

function isLabel(box) {
  const minScore = state.minScores[box[4]];
  return minScore !== null && isFrom(box[5], minScore);
}

function color(label) {
  // Hues are a golden angle apart, and light and dark colors alternate, so
  // that neighboring classes differ most.
  return `hsl(${(label * 137.5) % 360} 95% ${label % 2 ? 72 : 58}%)`;
}

function views(number) {
  return data.num_views ? `${number} of ${data.num_views} views` : `${number} views`;
}

// ---------------------------------------------------------------- boxes

function boxElement(box, image, isLarge) {
  const element = make('div', { className: 'box' });
  element.style.setProperty('--color', color(box[4]));
  element.dataset.tip =
    `${isolate(data.classes[box[4]])} · score ${shownScore(box[5])} · ${views(box[6])}`;
  if (isLarge) addName(element, data.classes[box[4]], box, image);
  return place(element, box, image);
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
    ...truth.map((object) => truthElement(object, image, data.classes)),
    ...image.boxes.filter(isLabel).map((box) => boxElement(box, image, isLarge)),
  );
}

function picture(image, isLarge) {
  const frame = makeFrame(image);
  drawBoxes(frame.lastChild, image, isLarge);
  return frame;
}

// -------------------------------------------------------------- gallery

const group = () => data.groups[state.group];
const imageAt = (at) => data.images[group().images[at]];
const numLabels = (image) => image.boxes.filter(isLabel).length;

function boxesText(image) {
  const number = numLabels(image);
  return `${number} ${number === 1 ? 'box' : 'boxes'}`;
}

function drawGroups() {
  makeGroups(byId('groups'), data.groups.map(({ name }) => name), (number) => {
    Object.assign(state, { group: number, place: 0 });
    drawThumbnails();
    drawLarge();
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
  showReason('reason', group(), state.place);
  byId('large').replaceChildren(picture(image, true));
  byId('truth-switch').hidden = !image.truth;
  pressThumbnail(byId('thumbnails'), state.place);
  drawCounts();
}

function drawCounts() {
  const image = imageAt(state.place);
  const labeled = sum(data.labeled_rates).toFixed(2);
  byId('counts').textContent =
    `${boxesText(image)}; ${data.labeled_name} images have ${labeled} on average`;
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
  scrollToThumbnail(byId('thumbnails'), state.place);
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
  return `${rate.toFixed(2)} per image · ${data.labeled_name} ${labeledRate.toFixed(2)}${qualityText(labels)}`;
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
  listenToKeys(gallery, step, byId('truth'));
  showTips(gallery);
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
