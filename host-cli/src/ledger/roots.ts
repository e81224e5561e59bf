// The way from a root to the committee of now: asked of a node, and proved epoch by epoch as it comes.

import { formatRoot, type Root } from "@vouch/shared/rebased/root";
import type { Walk } from "@vouch/shared/rebased/walkform";
import { Refusal } from "@vouch/shared/refusal";
import { deadlineIn } from "./deadline";
import { trackEpochs } from "./epochs";
import { parseNetwork, wrongNetwork } from "./networks";
import { withProver } from "./node";

/**
 * `where` is what stands behind `rebased:`; without `root` the committee that ships for the node's chain is where it
 * begins. Refuses `ledger-not-trusted`, and what the verifier and the node do.
 */
export function walkFrom(where: string, root: Root | null, timeoutMs: number): Promise<Walk> {
  const network = parseNetwork(where);
  return withProver(network, deadlineIn(timeoutMs), async (prover) => {
    const { chain, epoch } = await prover.info();
    if (chain !== null && network.chain !== null && chain !== network.chain)
      throw wrongNetwork(network.grpc.host, chain, network.chain);
    if (root !== null && root.epoch > epoch)
      throw new Refusal("epoch-missing", `the node is in epoch ${epoch}, the root is ${formatRoot(root)}`);
    const epochs = trackEpochs(null, root);
    await epochs.proveTo(epoch, chain ?? network.chain, prover);
    return epochs.walk()!;
  });
}
