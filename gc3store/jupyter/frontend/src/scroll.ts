// Where the rows of a table are, however many there are.
//
// Browsers limit the height of an element (Chrome to 16.8, Firefox to 17.9 million
// pixels), so a long table has a shorter scrollbar: `top` is measured in pixels of the
// real table, `bar` in those of the element. For tables below the limit both are equal.

export const MAX_HEIGHT = 8_000_000;

export class Scroll {
  /** Pixels of the real table above the view. */
  top = 0;
  count = 0;
  view = 0;

  constructor(readonly row: number) {}

  /** Height of the element that makes the scrollbar. */
  get height(): number {
    return Math.min(this.count * this.row, MAX_HEIGHT);
  }

  get scaled(): boolean {
    return this.count * this.row > MAX_HEIGHT;
  }

  get last(): number {
    return Math.max(0, this.count * this.row - this.view);
  }

  /** Set `top`, kept within the table. */
  to(top: number): void {
    this.top = Math.min(Math.max(0, top), this.last);
  }

  /** The scrollbar's position for `top`. */
  get bar(): number {
    if (!this.scaled) return this.top;
    return this.last === 0 ? 0 : (this.top / this.last) * (this.height - this.view);
  }

  /** Set `top` by the scrollbar's position. */
  fromBar(bar: number): void {
    if (!this.scaled) this.to(bar);
    else this.to((bar / (this.height - this.view)) * this.last);
  }

  /** The first row in view and the one after the last, some more on either side. */
  range(more = 0): [number, number] {
    const first = Math.floor(this.top / this.row) - more;
    const end = Math.ceil((this.top + this.view) / this.row) + more;
    return [Math.max(0, first), Math.min(this.count, end)];
  }

  /** Rows that fit into the view, less one to keep one's place by. */
  get page(): number {
    return Math.max(1, Math.floor(this.view / this.row) - 1);
  }

  /** Move no further than needed to see a whole row. */
  reveal(index: number): void {
    const start = index * this.row;
    if (start < this.top) this.to(start);
    else if (start + this.row > this.top + this.view) this.to(start + this.row - this.view);
  }
}
