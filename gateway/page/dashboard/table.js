/**
 * A table whose rows stay the same elements while their texts change, so that nothing jumps and little is drawn.
 *
 * Rows are copies of a `<template>`. An element with `data-text="field"` shows that field of its row.
 *
 * @template {{id: string}} Row
 */
export class Table {
  /**
   * @param {HTMLTableSectionElement} body
   * @param {HTMLTemplateElement} template
   * @param {(find: (name: string) => any, row: Row) => void} update Does what `data-text` cannot. `find` finds an element by
   *   its `data-name`.
   */
  constructor(body, template, update) {
    this.body = body;
    this.template = template;
    this.update = update;
    /** @type {Map<string, HTMLElement>} */
    this.shown = new Map();
  }

  /** @param {readonly Row[]} rows */
  show(rows) {
    const ids = new Set(rows.map(({ id }) => id));
    for (const [id, element] of this.shown) {
      if (ids.has(id)) continue;
      element.remove();
      this.shown.delete(id);
    }
    rows.forEach((row, index) => {
      const element = this.shown.get(row.id) ?? this.add(row.id);
      for (const cell of element.querySelectorAll('[data-text]')) {
        const field = /** @type {HTMLElement} */ (cell).dataset.text ?? '';
        write(cell, String(/** @type {Record<string, unknown>} */ (row)[field]));
      }
      this.update((name) => element.querySelector(`[data-name="${name}"]`), row);
      if (this.body.children[index] !== element) this.body.insertBefore(element, this.body.children[index] ?? null);
    });
  }

  /** @param {string} id */
  add(id) {
    const copy = /** @type {DocumentFragment} */ (this.template.content.cloneNode(true));
    const element = /** @type {HTMLElement} */ (copy.firstElementChild);
    this.shown.set(id, element);
    return element;
  }
}

/**
 * A text that is the same is not written, because even that costs a layout.
 * @param {Element} element
 * @param {string} text
 */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
