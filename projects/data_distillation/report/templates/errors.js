// The gallery of the errors on the validation images.
function showErrors() {
  const known = JSON.parse(byId('errors-data').textContent);
  const current = {
    minScores: known.models.map(({ min_score: minScore }) => minScore),
    group: 0,
    place: 0,
  };
  const RIGHT = -1; // -2 is a box on a crowd, which is neither right nor wrong.
  const MISSED = known.kinds.indexOf('missed');
  const FINDS = [RIGHT, known.kinds.indexOf('class'), known.kinds.indexOf('box')];
  const parts = known.models.map(() => ({}));

  // What of an image counts at the chosen score of a model.
  function judge(image, model) {
    const boxes = image.boxes[model].filter((box) => isFrom(box[5], current.minScores[model]));
    const found = new Set(boxes.filter((box) => FINDS.includes(box[6])).map((box) => box[7]));
    const missed = image.objects.filter((object, at) => !object[5] && !found.has(at));
    const counts = known.kinds.map((_, kind) => boxes.filter((box) => box[6] === kind).length);
    counts[MISSED] = missed.length;
    return { boxes, missed, counts, right: boxes.filter((box) => box[6] === RIGHT).length };
  }

  function describe(box, image) {
    const [label, score, kind, target] = box.slice(4);
    const words = { '-1': 'right', '-2': 'on a crowd, not counted' };
    const what = words[kind] ?? `error: ${known.kinds[kind]}`;
    const means = kind >= 0 && target >= 0
      ? `, near a true ${isolate(known.classes[image.objects[target][4]])}` : '';
    return `${isolate(known.classes[label])} · score ${shownScore(score)} · ${what}${means}`;
  }

  // An error of class is understood only with the class.
  function nameError([, , , , label, , kind]) {
    const name = known.kinds[kind];
    return ['class', 'both'].includes(name) ? `${name}: ${known.classes[label]}` : name;
  }

  function boxElement(box, image, isLarge) {
    const kinds = { '-1': 'right', '-2': 'crowd' };
    const element = make('div', { className: `box ${kinds[box[6]] ?? 'wrong'}` });
    element.dataset.tip = describe(box, image);
    if (isLarge && box[6] >= 0) addName(element, nameError(box), box, image);
    return place(element, box, image);
  }

  function missedElement(object, image, isLarge) {
    const element = make('div', { className: 'box missed' });
    element.dataset.tip = `missed: ${isolate(known.classes[object[4]])}`;
    if (isLarge) addName(element, 'missed', object, image);
    return place(element, object, image);
  }

  // What is said of a label that looks wrong.
  function markElement([x, y, width, height, text, kind], image) {
    const element = make('div', { className: `box ${kind}` });
    element.dataset.tip = text;
    // Below the label in doubt, so that both can be read.
    const from = kind === 'doubt' ? image.height - y - height : y;
    addName(element, text, [x, from], image);
    return place(element, [x, y, width, height], image);
  }

  function drawBoxes(overlay, image, model, isLarge) {
    const { boxes, missed } = judge(image, model);
    const truth = byId('errors-truth').checked ? image.objects : [];
    overlay.replaceChildren(
      ...truth.map((object) => truthElement(object, image, known.classes)),
      ...missed.map((object) => missedElement(object, image, isLarge)),
      ...boxes.map((box) => boxElement(box, image, isLarge)),
    );
  }

  const group = () => known.groups[current.group];
  const imageAt = (at) => known.images[group().images[at]];

  function errorsText(image) {
    const judged = known.models.map((_, model) => judge(image, model));
    const right = judged.map((one) => one.right);
    const wrong = judged.map(({ counts }) => sum(counts));
    return `right: ${right.join(' → ')}, errors: ${wrong.join(' → ')}`;
  }

  function drawThumbnails() {
    const last = known.models.length - 1;
    byId('errors-thumbnails').replaceChildren(...group().images.map((_, at) => {
      const image = imageAt(at);
      const frame = makeFrame(image);
      drawBoxes(frame.lastChild, image, last, false);
      const text = make('span', { className: 'count', textContent: errorsText(image) });
      const button = make('button', { type: 'button' }, frame, text);
      button.setAttribute('aria-label', `${image.name}, ${errorsText(image)}`);
      button.addEventListener('click', () => step(at - current.place));
      return make('li', {}, button);
    }));
  }

  function drawModel(model) {
    const image = imageAt(current.place);
    const frame = makeFrame(image);
    drawBoxes(frame.lastChild, image, model, true);
    const marks = group().marks[current.place] ?? [];
    frame.lastChild.append(...marks.map((mark) => markElement(mark, image)));
    parts[model].canvas.replaceChildren(frame);
    const { counts, right } = judge(image, model);
    const kinds = known.kinds.map((name, kind) => `${counts[kind]} ${name}`)
      .filter((_, kind) => counts[kind]);
    const errors = sum(counts);
    parts[model].summary.textContent =
      `${right} right, ${errors} ${errors === 1 ? 'error' : 'errors'}${errors ? ': ' : ''}${kinds.join(', ')}`;
  }

  function drawLarge() {
    const { images, total } = group();
    const left = total > images.length ? `, ${total - images.length} more are not on this page` : '';
    byId('errors-caption').textContent =
      `${isolate(imageAt(current.place).name)} (${current.place + 1} of ${images.length}${left})`;
    showReason('errors-reason', group(), current.place);
    known.models.forEach((_, model) => drawModel(model));
    pressThumbnail(byId('errors-thumbnails'), current.place);
  }

  function step(by) {
    const { length } = group().images;
    current.place = (current.place + by + length) % length;
    drawLarge();
    scrollToThumbnail(byId('errors-thumbnails'), current.place);
  }

  function updateSlider(model) {
    const score = current.minScores[model];
    const [right, found] = known.models[model].counts[Math.round(score * 100)];
    const { range, output, rates } = parts[model];
    range.value = Math.round(score * 100);
    range.setAttribute('aria-valuetext', score.toFixed(2));
    output.textContent = score.toFixed(2);
    rates.textContent =
      `all images: precision ${share(right, found)}, recall ${share(right, known.num_objects)}`;
  }

  function makeModel({ name }, model) {
    const id = `errors-score-${model}`;
    const part = {
      canvas: make('div', { className: 'canvas' }),
      summary: make('p', { className: 'summary' }),
      range: make('input', {
        type: 'range', id, min: Math.round(known.lowest * 100), max: 100, step: 1,
      }),
      output: make('output'),
      rates: make('span', { className: 'rates', id: `${id}-rate` }),
    };
    parts[model] = part;
    part.output.setAttribute('for', id);
    part.range.setAttribute('aria-describedby', part.rates.id);
    part.range.addEventListener('input', () => {
      current.minScores[model] = Number(part.range.value) / 100;
      changed(model);
    });
    const label = make('label', { htmlFor: id, textContent: `${name}: lowest score` });
    const slider = make('div', { className: 'slider' }, label, part.output, part.range, part.rates);
    return make('div', {}, make('h4', { textContent: name }), part.canvas, part.summary, slider);
  }

  function changed(model) {
    updateSlider(model);
    requestAnimationFrame(() => {
      drawThumbnails();
      drawLarge();
    });
  }

  byId('errors-pair').append(...known.models.map(makeModel));
  makeGroups(
    byId('errors-groups'),
    known.groups.map(({ name, total }) => `${name} (${total})`),
    (number) => {
      Object.assign(current, { group: number, place: 0 });
      drawThumbnails();
      drawLarge();
    },
  );
  byId('errors-previous').addEventListener('click', () => step(-1));
  byId('errors-next').addEventListener('click', () => step(1));
  byId('errors-truth').addEventListener('change', drawLarge);
  byId('errors-reset').addEventListener('click', () => {
    known.models.forEach(({ min_score: minScore }, model) => {
      current.minScores[model] = minScore;
      changed(model);
    });
  });
  listenToKeys(byId('errors-images'), step, byId('errors-truth'));
  showTips(byId('errors-images'));
  known.models.forEach((_, model) => updateSlider(model));
  drawThumbnails();
  drawLarge();
}

showErrors();
