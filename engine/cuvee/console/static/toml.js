// Weights as lines of products/<name>.toml.

const BARE = /^[A-Za-z0-9_-]+$/;

function key(name) {
  return BARE.test(name) ? name : JSON.stringify(name).replaceAll("\u007f", "\\u007f");
}

function number(value) {
  const text = String(Number(value.toPrecision(6)));
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** The table of one segment's weights; sources with weight 0 are left out, as the engine understands it. */
export function asToml(product, segment, sources, weights) {
  const parts = sources.flatMap((name, s) => (weights[s] > 0 ? [`${key(name)} = ${number(weights[s])}`] : []));
  return `# products/${product.replace(/[^\x20-\x7e]/g, "?")}.toml\n[blend.weights]\n${key(segment)} = { ${parts.join(", ")} }\n`;
}
