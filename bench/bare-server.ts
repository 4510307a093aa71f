/** What any server has to do: takes a frame of each form, makes a tensor of it and answers, with nothing else to do. */
import express from 'express';
import sharp from 'sharp';

const SIDE = 224;
sharp.concurrency(1);

const app = express();
app.post('/', express.raw({ type: () => true, limit: '64mb' }), async (req, res) => {
  const type = req.headers['content-type'] ?? '';
  const body = req.body as Buffer;
  let elements = body.length;
  if (type.startsWith('image/'))
    elements = (await sharp(body).resize(SIDE, SIDE, { fit: 'fill', kernel: 'linear' }).removeAlpha().raw().toBuffer())
      .length;
  else if (type === 'application/json') {
    const { inputs } = JSON.parse(body.toString()) as { inputs: { data: number[] }[] };
    elements = Uint8Array.from(inputs[0]!.data).length;
  }
  res.json({ elements });
});
const server = app.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') console.log(`listening on http://127.0.0.1:${address.port}`);
});
process.on('SIGTERM', () => process.exit(0));
