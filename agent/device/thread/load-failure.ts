/** How ONNX Runtime refuses a network, and what its owner can do. */
const REFUSALS: readonly { readonly pattern: RegExp; readonly explain: (match: RegExpExecArray) => string }[] = [
  {
    pattern: /Opset (\d+) is under development[^]*domain (\S+) is till opset (\d+)/,
    explain: ([, opset, domain, most]) =>
      `it is of operator set ${opset} of ${domain}, and this ONNX Runtime has those up to ${most}; export it with opset_version=${most} or a lower one`,
  },
  {
    pattern: /Unsupported model IR version: (\d+), max supported IR version: (\d+)/,
    explain: ([, version, most]) =>
      `it is of ONNX IR version ${version}, and this ONNX Runtime reads those up to ${most}; export it with an older version of the onnx package, or set its ir_version`,
  },
  {
    pattern: /(?:Fatal error: )?(\S+) is not a registered function\/op|Could not find an implementation for (\S+)/,
    explain: ([, unknown, missing]) =>
      `it uses the operator ${unknown ?? missing}, which this provider does not have for its element type; export it with another operator set or element type`,
  },
];

/** Why a network cannot be loaded, in words that say what to do where that is known. */
export function explainLoadFailure(message: string): string {
  for (const { pattern, explain } of REFUSALS) {
    const match = pattern.exec(message);
    if (match !== null) return explain(match);
  }
  return `is it an ONNX file that this provider supports? ${message}`;
}
