/** Figures of reports of `braid bench` that the rows of the table are made of. Times are medians. */

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)] + sorted[Math.ceil(middle)]) / 2;
}

/** The measurement whose subject has these parts; an error where there is none, so that no row is made of nothing. */
export function find(report, parts, more = () => true) {
  const found = report.measurements.find(
    (one) => Object.entries(parts).every(([key, value]) => one.subject[key] === value) && more(one),
  );
  if (!found) throw new Error(`nothing was measured for ${JSON.stringify(parts)}`);
  return found;
}

export const seconds = (measurement) => median(measurement.seconds);
export const tokensPerSecond = (measurement) => measurement.work.tokens / seconds(measurement);

/** A share of what the machine did at that moment, as the report gives it: the median, or an error where none was probed. */
function share(measurement, name) {
  const found = measurement.figures?.[name];
  if (!found) throw new Error(`${JSON.stringify(measurement.subject)} was measured without probes`);
  return found.median;
}

export const mfu = (report, parts) => share(find(report, parts), 'mfu');
export const bandwidthShare = (measurement) => share(measurement, 'bandwidthShare');

/**
 * Braid's products against oneDNN's at one precision: the time of all of them together by medians and by best runs, the
 * worst of them, and all against packed weights.
 */
export function products(report) {
  const names = [...new Set(report.measurements.map(({ subject }) => subject.product))];
  const system = (name, test) =>
    find(report, { product: name }, ({ subject }) => test(subject.system)).seconds;
  const pairs = names.map((name) => ({
    name,
    own: system(name, (text) => text === 'braid'),
    plain: system(name, (text) => text !== 'braid' && !text.endsWith('packed')),
    packed: system(name, (text) => text.endsWith('packed')),
  }));
  const total = (pick) => pairs.reduce((sum, pair) => sum + pick(pair), 0);
  const ratio = ({ plain, own }) => median(plain) / median(own);
  const worst = pairs.reduce((a, b) => (ratio(a) < ratio(b) ? a : b));
  return {
    all: total(({ plain }) => median(plain)) / total(({ own }) => median(own)),
    best: total(({ plain }) => Math.min(...plain)) / total(({ own }) => Math.min(...own)),
    packed: total(({ packed }) => median(packed)) / total(({ own }) => median(own)),
    worst: ratio(worst),
    worstName: worst.name,
  };
}

/** Braid's speed over the best of the peers that match, and who that is. */
export function overPeers(report, model, matches) {
  const own = find(report, { model, system: 'braid' });
  const peers = report.measurements.filter(
    ({ subject, precision }) =>
      subject.model === model && subject.system !== 'braid' && matches(subject.system, precision),
  );
  if (peers.length === 0) throw new Error(`no peer was measured for ${model}`);
  const best = peers.reduce((a, b) => (seconds(a) <= seconds(b) ? a : b));
  return { ratio: seconds(best) / seconds(own), name: `${best.subject.system}, ${best.precision}` };
}

/** Time of one part of a layer over that of another, training (forward and backward). */
export function layerRatio(report, part, slow, fast, length) {
  const time = (layer) => seconds(find(report, { layer, part, phase: 'training', length }));
  return time(slow) / time(fast);
}

/** Time per token of a whole layer at one length over that at another. */
export function costRatio(report, layer, long, short) {
  const time = (length) => {
    const one = find(report, { layer, part: 'whole', phase: 'training', length });
    return seconds(one) / one.work.tokens;
  };
  return time(long) / time(short);
}
