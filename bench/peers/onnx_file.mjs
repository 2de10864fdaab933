/** ONNX models as bytes: the few messages of onnx.proto that are needed, written by hand. */

function varint(value) {
  const bytes = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 128 : low);
  } while (rest > 0n);
  return Buffer.from(bytes);
}

const tag = (field, wire) => varint((field << 3) | wire);
const number = (field, value) => [tag(field, 0), varint(value)];
const bytes = (field, value) => [tag(field, 2), varint(value.length), value];
const text = (field, value) => bytes(field, Buffer.from(value));
const message = (field, parts) => bytes(field, Buffer.concat(parts.flat()));

export const FLOAT = 1;
export const INT32 = 6;
export const INT64 = 7;

export function tensor(name, shape, type, values) {
  const raw = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return [
    ...shape.flatMap((size) => number(1, size)),
    ...number(2, type),
    ...text(8, name),
    ...bytes(9, raw),
  ];
}

function attribute(name, value) {
  if (typeof value === 'string') return [...text(1, name), ...text(4, value), ...number(20, 3)];
  if (Number.isInteger(value)) return [...text(1, name), ...number(3, value), ...number(20, 2)];
  const float = Buffer.alloc(4);
  float.writeFloatLE(value.float);
  return [...text(1, name), tag(2, 5), float, ...number(20, 1)];
}

/** Attributes are integers, texts, or `{ float: 1e-6 }`. */
export function node(type, inputs, outputs, attributes = {}, domain = '') {
  return [
    ...inputs.flatMap((name) => text(1, name)),
    ...outputs.flatMap((name) => text(2, name)),
    ...text(4, type),
    ...Object.entries(attributes).flatMap(([name, value]) => message(5, attribute(name, value))),
    ...text(7, domain),
  ];
}

export function value(name, type, shape) {
  const dimensions = shape.flatMap((size) => message(1, number(1, size)));
  const tensorType = [...number(1, type), ...message(2, dimensions)];
  return [...text(1, name), ...message(2, message(1, tensorType))];
}

/** A model of opset 17 with the operators of com.microsoft. */
export function model({ nodes, initializers, inputs, outputs }) {
  const graph = [
    ...nodes.flatMap((one) => message(1, one)),
    ...text(2, 'graph'),
    ...initializers.flatMap((one) => message(5, one)),
    ...inputs.flatMap((one) => message(11, one)),
    ...outputs.flatMap((one) => message(12, one)),
  ];
  const opset = (domain, version) => message(8, [...text(1, domain), ...number(2, version)]);
  return Buffer.concat([
    ...number(1, 8),
    ...message(7, graph),
    ...opset('', 17),
    ...opset('com.microsoft', 1),
  ]);
}
