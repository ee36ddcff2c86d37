"""How well the texts of an open page can be read: contrast by WCAG 2, of every text against what is behind it."""

from __future__ import annotations

from tests.harness.browser import Visit

_SCRIPT = """() => {
  const parse = (colour) => { const n = colour.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const light = (c) => { const x = c / 255; return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; };
  const luminance = ([r, g, b]) => 0.2126 * light(r) + 0.7152 * light(g) + 0.0722 * light(b);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour[3] > 0) return colour;
    }
    return [255, 255, 255, 1];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim();
    const element = walker.currentNode.parentElement;
    if (!text || ["SCRIPT", "STYLE"].includes(element.nodeName)) continue;
    const [one, other] = [parse(getComputedStyle(element).color), behind(element)].map(luminance);
    found.push([(Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05), text.slice(0, 60)]);
  }
  return found;
}"""


def hard_to_read(visit: Visit, *, least: float = 4.5) -> list[tuple[float, str]]:
    """Texts whose contrast is below `least`, with it."""
    found = visit.value(_SCRIPT)
    assert len(found) > 50, "the page has hardly any text"
    return [(round(ratio, 2), text) for ratio, text in found if ratio < least]
