/** What stands in a cell: text, and whether it is bad news. */
export type Cell = string | { readonly text: string; readonly bad: boolean };

export const element = (id: string): HTMLElement => document.getElementById(id)!;

/** Says something, where it is not said already: whoever has selected it, or is being read to, is not disturbed. */
export function say(where: Element, text: string): void {
  if (where.textContent !== text) where.textContent = text;
}

/** Makes a table's body these rows, cell by cell. Columns of numbers are those whose heads say so. */
export function fill(id: string, rows: readonly (readonly Cell[])[], none: string): void {
  const table = element(id) as HTMLTableElement;
  const heads = [...table.tHead!.rows[0]!.cells];
  const body = table.tBodies[0]!;
  const told = rows.length > 0 ? rows : [[none]];
  while (body.rows.length > told.length) body.deleteRow(-1);
  for (const [i, cells] of told.entries()) {
    const row = body.rows[i] ?? body.insertRow();
    while (row.cells.length > cells.length) row.deleteCell(-1);
    for (const [j, cell] of cells.entries()) {
      const place = row.cells[j] ?? row.insertCell();
      const { text, bad } = typeof cell === 'string' ? { text: cell, bad: false } : cell;
      place.className = [heads[j]!.className, bad ? 'bad' : ''].join(' ').trim();
      place.colSpan = rows.length > 0 ? 1 : heads.length;
      say(place, text);
    }
  }
}
