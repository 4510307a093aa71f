import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { View, parse } from 'vega';
import type { TopLevelSpec } from 'vega-lite';
import { compile } from 'vega-lite';

/** Draws a plot into an SVG file. */
export async function draw(file: string, spec: TopLevelSpec): Promise<void> {
  const view = new View(parse(compile(spec).spec), { renderer: 'none' });
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${await view.toSVG()}\n`);
  view.finalize();
}
