// What the fake node answers: HORNET 2.0.1's routes and inx-poi 1.0.0's, their statuses, headers and words.

import {
  auditPath,
  type Block,
  blockBytes,
  checkSyntax,
  foldPath,
  hex,
  idOf,
  type Milestone,
  milestoneBytes,
  milestoneIdOf,
  type Path,
  RAW,
  Rejected,
  readBlock,
  readBlockJson,
  unhex,
} from "./fake-blocks";
import { powScore, work } from "./fake-curl";
import { type FakeHornet, type Question, strangersSignatures } from "./fake-hornet";
import type { Entry } from "./fake-tangle";

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly content: Buffer;
}

const PHRASES: Record<number, string> = {
  400: "invalid parameter",
  404: "Not Found",
  405: "Method Not Allowed",
  413: "Request Entity Too Large",
  415: "Unsupported Media Type",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

const JSON_TYPE = "application/json; charset=UTF-8";
const VARY = { vary: "Accept-Encoding" };

const told = (status: number, value: unknown, headers = {}): Answer => ({
  status,
  headers: { "content-type": JSON_TYPE, ...VARY, ...headers },
  content: Buffer.from(`${JSON.stringify(value)}\n`),
});
const ok = (value: unknown) => told(200, value);
const raw = (content: Buffer): Answer => ({
  status: 200,
  headers: { "content-type": RAW, ...VARY },
  content,
});

const errorOf = (status: number, message: string, headers = {}) =>
  told(status, { error: { code: String(status), message } }, headers);

/** An error as echo words it, with what the node adds to it. */
export function failure(status: number, detail = "", headers = {}): Answer {
  const phrase = PHRASES[status] ?? `status ${status}`;
  const more = detail === "" ? "" : `${detail}: `;
  return errorOf(status, `${phrase}, error: ${more}code=${status}, message=${phrase}`, headers);
}

const HEX = /^0x(?:[0-9a-f]{2})*$/i;

/** The bytes that a path names, or what HORNET says of it. */
function idIn(text: string, what: string): { id: string } | { wrong: Answer } {
  const wrong = (why: string) => ({
    wrong: failure(400, `invalid ${what} ID: ${text}, error: ${why}`),
  });
  if (!/^0x/i.test(text)) return wrong("hex string without 0x prefix");
  if (!HEX.test(text)) return wrong("invalid hex string");
  return { id: text.toLowerCase() };
}

// ---- HORNET

type Route = (fake: FakeHornet, args: string[], question: Question) => Answer | Promise<Answer>;
const CORE = "/api/core/v2";

const ROUTES: readonly [method: "GET" | "POST", path: RegExp, route: Route][] = [
  ["GET", /^\/health$/, () => ({ status: 503, headers: VARY, content: Buffer.alloc(0) })], // no gossip peers
  ["GET", /^\/api\/routes$/, () => ok({ routes: ["core/v2", "dashboard-metrics/v1", "poi/v1"] })],
  ["GET", core("info"), (fake) => ok(info(fake))],
  ["GET", core("tips"), (fake) => ok({ tips: fake.tangle.selectTips() })],
  ["POST", core("blocks"), (fake, _, question) => postBlock(fake, question)],
  ["GET", core("blocks/([^/]+)"), (fake, [id = ""], { headers }) => block(fake, id, headers.accept)],
  ["GET", core("blocks/([^/]+)/metadata"), (fake, [id = ""]) => metadata(fake, id)],
  ["GET", core("milestones/([^/]+)"), (fake, [id = ""], { headers }) => byId(fake, id, headers.accept)],
  [
    "GET",
    core("milestones/by-index/([^/]+)"),
    (fake, [i = ""], { headers }) => byIndex(fake, i, headers.accept),
  ],
  ["GET", core("milestones/by-index/([^/]+)/utxo-changes"), (fake, [i = ""]) => changes(fake, i)],
  ["POST", core("whiteflag"), () => failure(503, "white flag isn't simulated")],
];

function core(path: string): RegExp {
  return new RegExp(`^${CORE}/${path}$`);
}

export async function answerNode(fake: FakeHornet, question: Question): Promise<Answer> {
  const { method, path } = question;
  const here = ROUTES.filter(([, pattern]) => pattern.test(path));
  if (here.length === 0) return failure(404);
  const allow = { allow: `OPTIONS, ${here.map(([verb]) => verb).join(", ")}` };
  if (method === "OPTIONS") return preflight(question, allow);
  const found = here.find(([verb]) => verb === method);
  if (found === undefined) {
    const refused = failure(405, "", allow);
    return method === "HEAD" ? { ...refused, content: Buffer.alloc(0) } : refused;
  }
  const [, pattern, route] = found;
  return route(fake, pattern.exec(path)!.slice(1).map(decodeURIComponent), question);
}

const preflight = ({ headers }: Question, allow: Record<string, string>): Answer => ({
  status: 204,
  headers: {
    ...allow,
    vary: "Access-Control-Request-Headers",
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET,HEAD,PUT,PATCH,POST,DELETE",
    "access-control-allow-headers": String(headers["access-control-request-headers"] ?? ""),
  },
  content: Buffer.alloc(0),
});

function info({ tangle, faults, nodePow, intervalMs }: FakeHornet) {
  const rate = intervalMs > 0 ? 1000 / intervalMs : 0;
  return {
    name: "HORNET",
    version: "2.0.1",
    status: {
      isHealthy: false,
      latestMilestone: tangle.head,
      confirmedMilestone: tangle.head,
      pruningIndex: 0,
    },
    supportedProtocolVersions: [2],
    protocol: {
      version: 2,
      networkName: faults.network ?? tangle.name,
      bech32Hrp: "tst",
      minPowScore: tangle.minPowScore,
      belowMaxDepth: tangle.belowMaxDepth,
      rentStructure: { vByteCost: 500, vByteFactorData: 1, vByteFactorKey: 10 },
      tokenSupply: "2779530283277761",
    },
    pendingProtocolParameters: [],
    baseToken: {
      name: "TestCoin",
      tickerSymbol: "TEST",
      unit: "TEST",
      subunit: "testies",
      decimals: 6,
      useMetricPrefix: false,
    },
    metrics: { blocksPerSecond: rate, referencedBlocksPerSecond: rate, referencedRate: 100 },
    features: nodePow ? ["pow"] : [],
  };
}

async function postBlock(fake: FakeHornet, { headers, body }: Question): Promise<Answer> {
  const type = String(headers["content-type"] ?? "").split(";")[0];
  if (type !== "application/json" && type !== RAW) return failure(415);
  let sent: Block;
  try {
    sent = type === RAW ? readBlock(body) : readBlockJson(body.toString());
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    return failure(400, `invalid block, error: ${error.message}`);
  }
  try {
    return await attach(fake, sent);
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    return failure(400, `failed to attach block: ${error.message}: invalid block`);
  }
}

const spend = (fake: FakeHornet, name: "lost" | "abandon" | "belowMaxDepth"): boolean => {
  const left = fake.faults[name] ?? 0;
  if (left > 0) fake.faults[name] = left - 1;
  return left > 0;
};

/** What HORNET does with a block before it lets it in: parents and work where they are missing. */
async function attach(fake: FakeHornet, sent: Block): Promise<Answer> {
  const { tangle, nodePow, faults } = fake;
  if (sent.protocolVersion !== 2) throw new Rejected(`protocolVersion invalid: ${sent.protocolVersion}`);
  let block = sent;
  if (sent.parents.length === 0) {
    if (sent.nonce !== "0") throw new Rejected("no parents were given but nonce was != 0");
    if (!nodePow && tangle.minPowScore > 0) throw new Rejected("no parents given and node PoW is disabled");
    block = { ...sent, parents: tangle.selectTips() };
  }
  if (faults.rewrite) block = { ...block, nonce: String(BigInt(block.nonce) + 1n) };
  if (spend(fake, "belowMaxDepth")) throw new Rejected("block is below max depth");
  checkSyntax(block);
  let bytes = blockBytes(block);
  if (block.nonce === "0" && powScore(bytes) < tangle.minPowScore) {
    if (!nodePow) return failure(503, "failed to attach block: proof of work is not available on this node");
    bytes = await work(bytes, tangle.minPowScore);
  }
  const id = tangle.attach(bytes);
  if (spend(fake, "lost")) tangle.drop(id);
  if (spend(fake, "abandon")) tangle.avoid(id);
  const blockId = faults.alteredId ? idOf(Buffer.from(id)) : id;
  return told(201, { blockId }, { location: blockId });
}

/** The block of an id, a short one filled up with zeros. */
function find(fake: FakeHornet, text: string): { entry: Entry } | { wrong: Answer } {
  const asked = idIn(text, "block");
  if ("wrong" in asked) return asked;
  const id = asked.id.padEnd(66, "0");
  const entry = fake.tangle.blocks.get(id);
  return entry === undefined || fake.faults.pruned
    ? { wrong: failure(404, `block not found: ${id}`) }
    : { entry };
}

function block(fake: FakeHornet, text: string, accept: string | undefined): Answer {
  const found = find(fake, text);
  if ("wrong" in found) return found.wrong;
  const { id, bytes } = found.entry;
  if (bytes === undefined) return failure(404, `block not found: ${id}`);
  return accept === RAW ? raw(bytes) : ok(readBlock(bytes));
}

function metadata(fake: FakeHornet, text: string): Answer {
  const found = find(fake, text);
  if ("wrong" in found) return found.wrong;
  const { id, parents, referenced, milestoneIndex } = found.entry;
  const score = referenced === undefined ? fake.tangle.scoreOf(id) : undefined;
  return ok({
    blockId: id,
    parents,
    isSolid: true,
    ...(score === undefined
      ? {}
      : { shouldPromote: score === "promote", shouldReattach: score === "below max depth" }),
    referencedByMilestoneIndex: referenced?.index,
    milestoneIndex,
    ledgerInclusionState: referenced === undefined ? undefined : "noTransaction",
    whiteFlagIndex: referenced?.place,
  });
}

const showMilestone = (milestone: Milestone, accept: string | undefined) =>
  accept === RAW ? raw(milestoneBytes(milestone)) : ok(milestone);

function byId(fake: FakeHornet, text: string, accept: string | undefined): Answer {
  const asked = idIn(text, "milestone");
  if ("wrong" in asked) return asked.wrong;
  const length = (asked.id.length - 2) / 2;
  if (length !== 32) return failure(400, `invalid milestone ID: ${text}, invalid length: ${length}`);
  const found = [...fake.tangle.milestones.values()].find((m) => milestoneIdOf(m) === asked.id);
  return found === undefined || fake.faults.pruned
    ? failure(404, `milestone not found: ${asked.id}`)
    : showMilestone(found, accept);
}

/** The milestone of an index in a path, or what HORNET says of it. */
function indexed(fake: FakeHornet, text: string): { milestone: Milestone } | { wrong: Answer } {
  if (!/^[0-9]{1,10}$/.test(text)) {
    const parsing = `strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`;
    return { wrong: failure(400, `invalid milestone index: ${text}, error: ${parsing}`) };
  }
  const milestone = fake.tangle.milestones.get(Number(text));
  return milestone === undefined || fake.faults.pruned
    ? { wrong: failure(404, `milestone index not found: ${text}`) }
    : { milestone };
}

function byIndex(fake: FakeHornet, text: string, accept: string | undefined): Answer {
  const found = indexed(fake, text);
  return "wrong" in found ? found.wrong : showMilestone(found.milestone, accept);
}

function changes(fake: FakeHornet, text: string): Answer {
  const found = indexed(fake, text);
  return "wrong" in found
    ? found.wrong
    : ok({ index: found.milestone.index, createdOutputs: [], consumedOutputs: [] });
}

// ---- inx-poi

/** inx-poi compresses nothing. */
function plain({ status, headers, content }: Answer): Answer {
  const { vary: _, ...rest } = headers;
  return { status, headers: rest, content };
}

export async function answerPoi(fake: FakeHornet, question: Question): Promise<Answer> {
  const { method, path, body } = question;
  const id = /^\/create\/([^/]+)$/.exec(path)?.[1];
  if (method === "GET" && id !== undefined) return plain(createProof(fake, id));
  if (method === "POST" && path === "/validate") return plain(validate(fake, body));
  return plain(failure(404));
}

const broken = (why: string) => errorOf(500, `internal server error. error: ${why}`);

function createProof({ tangle, faults }: FakeHornet, text: string): Answer {
  const asked = idIn(text, "block");
  if ("wrong" in asked) return asked.wrong;
  const entry = tangle.blocks.get(asked.id);
  if (faults.noProof) return broken("rpc error: code = Unavailable desc = the node is gone");
  if (entry === undefined || faults.pruned)
    return broken(`rpc error: code = NotFound desc = block metadata ${asked.id} not found`);
  const { referenced } = entry;
  if (referenced === undefined) return failure(400, `block ${asked.id} is not referenced by a milestone`);
  const cone = tangle.cones.get(referenced.index)!;
  if (cone.length < 2) return broken("you need at lest 2 items to create an inclusion proof");
  const other = cone.findIndex((id) => id !== entry.id && tangle.blocks.get(id)?.bytes !== undefined);
  const place = faults.otherBlock ? other : referenced.place;
  return ok({
    milestone: signedAs(tangle.milestones.get(referenced.index)!, faults),
    block: readBlock(tangle.blocks.get(cone[place]!)!.bytes!),
    proof: auditPath(cone, place),
  });
}

function signedAs(milestone: Milestone, { twice, foreign }: FakeHornet["faults"]): Milestone {
  const [first] = milestone.signatures;
  if (twice && first !== undefined) return { ...milestone, signatures: [first, first] };
  if (foreign) return { ...milestone, signatures: strangersSignatures(unhex(milestoneIdOf(milestone))) };
  return milestone;
}

function validate({ tangle }: FakeHornet, body: Buffer): Answer {
  let value: { milestone?: Milestone; block?: Block; proof?: Path };
  try {
    value = JSON.parse(body.toString());
  } catch {
    return failure(400, "invalid request, error: code=400, message=unexpected EOF, internal=unexpected EOF");
  }
  const { milestone, block, proof } = value;
  if (milestone === undefined || block === undefined || proof === undefined)
    return failure(400, "invalid request");
  const { root, value: leaf } = foldPath(proof);
  const valid =
    leaf?.toLowerCase() === idOf(blockBytes(block)) &&
    hex(root) === milestone.inclusionMerkleRoot.toLowerCase() &&
    tangle.isSigned(milestone);
  return ok({ valid });
}
