/** More would delay what the operator does meanwhile. */
const ROWS_PER_FRAME = 50;

/**
 * A table whose rows stay the same elements while their texts change, so that nothing jumps and little is drawn.
 *
 * Rows are copies of a `<template>`. An element with `data-text="field"` shows that field of its row, and a button with
 * `data-action` tells which row it belongs to.
 *
 * @template {{id: string}} Row
 */
export class Table {
  /**
   * @param {HTMLTableSectionElement} body
   * @param {HTMLTemplateElement} template
   * @param {(find: (name: string) => any, row: Row) => void} update Does what `data-text` cannot. `find` finds an element by
   *   its `data-name`.
   * @param {(action: string, row: Row) => void} onAction
   */
  constructor(body, template, update, onAction) {
    this.body = body;
    this.template = template;
    this.update = update;
    /** @type {Map<string, TableRow<Row>>} */
    this.rows = new Map();
    this.frame = 0;
    body.addEventListener('click', ({ target }) => {
      const button = target instanceof Element ? target.closest('button') : null;
      const row = this.rows.get(button?.closest('tr')?.dataset.id ?? '')?.shown;
      if (button?.dataset.action && row) onAction(button.dataset.action, row);
    });
  }

  /** @param {readonly Row[]} rows Many are shown over several frames. */
  show(rows) {
    cancelAnimationFrame(this.frame);
    const ids = new Set(rows.map(({ id }) => id));
    for (const [id, { element }] of this.rows) {
      if (!ids.has(id)) this.remove(id, element);
    }
    this.showFrom(0, rows);
  }

  /**
   * @param {number} start
   * @param {readonly Row[]} rows
   */
  showFrom(start, rows) {
    const end = start + ROWS_PER_FRAME;
    rows.slice(start, end).forEach((row, index) => this.showRow(start + index, row));
    if (end < rows.length) this.frame = requestAnimationFrame(() => this.showFrom(end, rows));
  }

  /**
   * @param {number} index
   * @param {Row} row
   */
  showRow(index, row) {
    let known = this.rows.get(row.id);
    if (!known) this.rows.set(row.id, known = new TableRow(this.template, row.id));
    known.show(row);
    this.update(known.find, row);
    const before = this.body.children[index] ?? null;
    if (before !== known.element) this.body.insertBefore(known.element, before);
  }

  /**
   * @param {string} id
   * @param {HTMLElement} element
   */
  remove(id, element) {
    // Otherwise the keyboard would be back at the beginning of the page.
    if (element.contains(document.activeElement)) /** @type {HTMLElement | null} */ (this.body.closest('[tabindex]'))?.focus();
    element.remove();
    this.rows.delete(id);
  }
}

/** @template {{id: string}} Row */
class TableRow {
  /**
   * @param {HTMLTemplateElement} template
   * @param {string} id
   */
  constructor(template, id) {
    const copy = /** @type {DocumentFragment} */ (template.content.cloneNode(true));
    this.element = /** @type {HTMLElement} */ (copy.firstElementChild);
    this.element.dataset.id = id;
    this.texts = /** @type {NodeListOf<HTMLElement>} */ (this.element.querySelectorAll('[data-text]'));
    const named = /** @type {NodeListOf<HTMLElement>} */ (this.element.querySelectorAll('[data-name]'));
    const elements = new Map([...named].map((element) => [element.dataset.name, element]));
    this.find = (/** @type {string} */ name) => elements.get(name);
    /** @type {Row | undefined} */
    this.shown = undefined;
  }

  /** @param {Row} row */
  show(row) {
    for (const cell of this.texts) {
      const field = /** @type {keyof Row} */ (cell.dataset.text);
      // A text that is the same is not written, because even that costs a layout.
      if (this.shown?.[field] !== row[field]) cell.textContent = String(row[field]);
    }
    this.shown = row;
  }
}
