/** Where the rows of a long list are, some of them measured and the others estimated. Rows lie one below another. */

export class Heights {
  private heights: Float64Array;
  /** Where each row begins, up to `known`. */
  private tops: Float64Array;
  private known = 0;

  constructor(
    readonly length: number,
    estimate: number,
  ) {
    this.heights = new Float64Array(length).fill(estimate);
    this.tops = new Float64Array(length + 1);
  }

  /** Notes the height of a row; true if it was another. */
  set(index: number, height: number): boolean {
    if (index >= this.length || Math.abs((this.heights[index] ?? 0) - height) < 0.5) return false;
    this.heights[index] = height;
    this.known = Math.min(this.known, index);
    return true;
  }

  /** Where a row begins; of `length`, where the last one ends. */
  top(index: number): number {
    for (let i = this.known; i < index; i++) this.tops[i + 1] = (this.tops[i] ?? 0) + (this.heights[i] ?? 0);
    this.known = Math.max(this.known, index);
    return this.tops[index] ?? 0;
  }

  /** The height of all rows. */
  get total(): number {
    return this.top(this.length);
  }

  /** The row at a place. */
  at(place: number): number {
    this.top(this.length);
    let low = 0;
    let high = this.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.tops[middle] ?? 0) <= place) low = middle;
      else high = middle - 1;
    }
    return Math.max(low, 0);
  }
}
