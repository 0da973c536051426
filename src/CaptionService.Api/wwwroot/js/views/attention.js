// Where the model looked at a word: what it did not look at is darkened.
const side = 14, scale = 8, size = side * scale;

// Weights of a cell's neighbours at each offset inside it: a Gaussian as wide as a cell, so that no grid is seen.
const reach = 2;
const kernel = Array.from({ length: scale }, (_, offset) => {
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-0.5 * ((i - reach - (offset + 0.5) / scale + 0.5) / 0.6) ** 2));
  const sum = weights.reduce((a, b) => a + b);
  return weights.map(weight => weight / sum);
});

/** Draws 14×14 weights into a canvas that lies over the photo. */
export function drawAttention(canvas, rows) {
  canvas.width = canvas.height = size;
  const smooth = along(transposed(along(rows)));            // (x, y), then back
  const map = transposed(smooth);                           // (112, 112)
  const most = Math.max(...map.map(row => Math.max(...row))), least = Math.min(...map.map(row => Math.min(...row)));
  const context = canvas.getContext('2d');
  const pixels = context.createImageData(size, size);
  map.forEach((row, y) => row.forEach((weight, x) => {
    const seen = most > least ? (weight - least) / (most - least) : 1;
    pixels.data[(y * size + x) * 4 + 3] = Math.round(190 * (1 - seen) ** 2);
  }));
  context.putImageData(pixels, 0, 0);
}

/** In which ninth of the photo most of the weight is, as a key of the language tables. */
export function region(rows) {
  const ninths = new Array(9).fill(0);
  rows.forEach((row, y) => row.forEach((weight, x) => { ninths[Math.floor(y * 3 / side) * 3 + Math.floor(x * 3 / side)] += weight; }));
  return `region.${ninths.indexOf(Math.max(...ninths))}`;
}

const along = rows => rows.map(row => Array.from({ length: row.length * scale }, (_, i) => {
  const cell = Math.floor(i / scale);
  return kernel[i % scale].reduce((sum, weight, k) => sum + weight * row[Math.min(Math.max(cell + k - reach, 0), row.length - 1)], 0);
}));

const transposed = rows => rows[0].map((_, i) => rows.map(row => row[i]));
