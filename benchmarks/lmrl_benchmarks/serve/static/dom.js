// Making elements. Text always becomes a text node: nothing that was said in a game is ever read as HTML.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  add(element, children);
  return element;
}

export function add(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

export const fill = (element, ...children) => {
  element.replaceChildren();
  return add(element, children);
};

export const number = value => {
  const text = Number.isInteger(value) ? String(value) : value.toFixed(3).replace(/0+$/, "");
  return text.replace("-", "\u2212");
};

export const points = value => `${number(value)} ${Math.abs(value) === 1 ? "point" : "points"}`;

// "TwentyQuestions" -> "Twenty Questions"
export const title = slug => slug.replace(/([a-z])([A-Z])/g, "$1 $2").replaceAll("-", " \u00b7 ");
