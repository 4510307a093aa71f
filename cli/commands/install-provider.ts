import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { installCuda } from '../../agent/device/providers/install-cuda.js';
import { print } from './shared.js';

export function installProviderCommand(program: Command): void {
  program
    .command('install-provider')
    .description(
      'Installs what an execution provider needs beside onnxruntime-node. cuda: ONNX Runtime’s CUDA and TensorRT libraries, from\nthe Python package of the same version, by pip (needs python3), checked against a recorded digest. The NVIDIA driver,\nCUDA and cuDNN are the system’s; deeprt doctor says what is missing.',
    )
    .argument('<provider>', 'cuda', (name) => {
      if (name !== 'cuda') throw new InvalidArgumentError('there is only cuda to install');
      return name;
    })
    .action(async () => print((await installCuda()).map((file) => `installed ${file}`).join('\n')));
}
