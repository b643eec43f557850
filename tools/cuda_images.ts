/** Kernels as bytes of a library: what `kKernelImages` names. @module */
import { join, relative } from "node:path";
import { CUDA_BUILD } from "./cuda_sources.ts";
import { ROOT, writeAtomic } from "./paths.ts";

/** @param files Fat binaries, or texts of PTX.
 * @returns The source that holds them, relative to the repository. */
export async function writeImages(
  files: readonly string[],
  name = "kernel_images.cc",
): Promise<string> {
  const images = join(CUDA_BUILD, name);
  await writeAtomic(images, imagesSource(files));
  return relative(ROOT, images);
}

/** Files as bytes of the library, each on 64 of them and ended by a zero. */
function imagesSource(files: readonly string[]): string {
  const bytes = files.map((path, i) =>
    `asm(".section .rodata\\n.balign 64\\n.hidden redraft_image_${i}\\n"\n` +
    `    ".globl redraft_image_${i}\\n"\n` +
    `    "redraft_image_${i}:\\n.incbin \\"${path}\\"\\n.byte 0\\n.previous");\n` +
    `extern "C" __attribute__((visibility("hidden"))) const char redraft_image_${i}[];\n`
  );
  const list = files.map((_, i) => `redraft_image_${i}, `).join("");
  return `${bytes.join("")}namespace redraft::cuda {\n` +
    `extern const void* const kKernelImages[];\n` +
    `const void* const kKernelImages[] = {${list}nullptr};\n}\n`;
}
