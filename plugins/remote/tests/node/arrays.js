// The arrays of recommender.proto as typed arrays. (On the rare machine that is big-endian, swap the bytes.)

const KINDS = { DATA_TYPE_INT32: Int32Array, DATA_TYPE_FLOAT32: Float32Array, DATA_TYPE_FLOAT64: Float64Array };

const message = (type, shape, numbers) => ({ type, shape, data: Buffer.from(numbers.buffer) });

export const int32 = (shape, numbers) => message("DATA_TYPE_INT32", shape, Int32Array.from(numbers));
export const float32 = (shape, numbers) => message("DATA_TYPE_FLOAT32", shape, Float32Array.from(numbers));

/** The numbers of an array that came. Its bytes lie anywhere in a larger buffer, so they are copied into place. */
export function read({ type, data }) {
  const kind = KINDS[type];
  return new kind(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength));
}

/** Row b of an array with m columns. */
export const row = (numbers, b, m) => numbers.subarray(b * m, (b + 1) * m);
