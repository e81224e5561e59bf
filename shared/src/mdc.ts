// What the codes in a stream stand for: IEEE 11073-10101 (MDC), as far as we know them, with what others call the same.
//
//   code        150456  = partition 2 × 65536 + term 19384: MDC_PULS_OXIM_SAT_O2
//   LOINC       the "magic" code that FHIR R4 asks of a vital sign, 2708-6, and a nearer one, 59408-5
//   units       262688  = partition 4 × 65536 + term 544: MDC_DIM_PERCENT, UCUM %, for SenML a ratio: × 10^-2
//
// A reading whose code isn't here keeps its number and nothing is guessed. One whose unit isn't among those its code
// is measured in isn't that reading: it is treated as unknown too. `C` would be coulomb, so units go by table and never by text.

/** The code system of MDC, and UCUM's. */
export const MDC_SYSTEM = "urn:iso:std:iso:11073:10101";
export const UCUM_SYSTEM = "http://unitsofmeasure.org";

export interface MdcUnit {
  readonly name: string;
  /** UCUM's code, and how it is written for people. */
  readonly ucum: string;
  readonly print: string;
  /** SenML's unit (IANA registry), and the power of ten from ours to it; null where the registry has none. */
  readonly senml: readonly [unit: string, power: number] | null;
}

export interface MdcMetric {
  readonly name: string;
  readonly text: string;
  /** LOINC codes with their names, the one that FHIR's profile asks for first. */
  readonly loinc: readonly (readonly [code: string, display: string])[];
  readonly category: "vital-signs" | "laboratory" | "procedure";
  /** The vital-signs profile of FHIR R4, null where there is none. */
  readonly profile: string | null;
  /** Units it may come in; of a compound none, its parts have them. */
  readonly units: readonly number[];
  /** The specialization of devices that measure it. */
  readonly device: number;
}

const unit = (name: string, ucum: string, print: string, senml: MdcUnit["senml"] = null): MdcUnit => ({
  name: `MDC_DIM_${name}`,
  ucum,
  print,
  senml,
});

const PERCENT = 262688;
const BEATS = 264864;
const BREATHS = 264928;
const CELSIUS = 268192;
const FAHRENHEIT = 266560;
const MMHG = 266016;
const KPA = 265987;
const MG_DL = 264274;
const MMOL_L = 266866;
const KG = 263875;
const GRAM = 263872;
const POUND = 263904;
const MILLIVOLT = 266418;
const MICROVOLT = 266419;

export const MDC_UNITS: ReadonlyMap<number, MdcUnit> = new Map([
  [262656, unit("DIMLESS", "1", "1")],
  [PERCENT, unit("PERCENT", "%", "%", ["/", -2])],
  [BEATS, unit("BEAT_PER_MIN", "/min", "beats/minute", ["beat/min", 0])],
  [BREATHS, unit("RESP_PER_MIN", "/min", "breaths/minute", ["1/min", 0])],
  [CELSIUS, unit("DEGC", "Cel", "C", ["Cel", 0])],
  [FAHRENHEIT, unit("FAHR", "[degF]", "F")],
  [MMHG, unit("MMHG", "mm[Hg]", "mmHg")],
  [KPA, unit("KILO_PASCAL", "kPa", "kPa", ["Pa", 3])],
  [MG_DL, unit("MILLI_G_PER_DL", "mg/dL", "mg/dL")],
  [MMOL_L, unit("MILLI_MOLE_PER_L", "mmol/L", "mmol/L")],
  [KG, unit("KILO_G", "kg", "kg", ["kg", 0])],
  [GRAM, unit("X_G", "g", "g", ["g", 0])],
  [POUND, unit("LB", "[lb_av]", "lb")],
  [MILLIVOLT, unit("MILLI_VOLT", "mV", "mV", ["V", -3])],
  [MICROVOLT, unit("MICRO_VOLT", "uV", "uV", ["V", -6])],
]);

export const OXIMETER = 528388;
const ELECTROCARDIOGRAPH = 528390;
export const GENERIC_DEVICE = 528457;
const BLOOD_PRESSURE_MONITOR = 528391;
const THERMOMETER = 528392;
const RESPIRATION_MONITOR = 528397;
const SCALE = 528399;
const GLUCOSE_METER = 528401;

export const MDC_DEVICES: ReadonlyMap<number, readonly [name: string, text: string]> = new Map([
  [OXIMETER, ["MDC_DEV_SPEC_PROFILE_PULS_OXIM", "Pulse oximeter"]],
  [ELECTROCARDIOGRAPH, ["MDC_DEV_SPEC_PROFILE_ECG", "Electrocardiograph"]],
  [BLOOD_PRESSURE_MONITOR, ["MDC_DEV_SPEC_PROFILE_BP", "Blood pressure monitor"]],
  [THERMOMETER, ["MDC_DEV_SPEC_PROFILE_TEMP", "Thermometer"]],
  [RESPIRATION_MONITOR, ["MDC_DEV_SPEC_PROFILE_RESP_RATE", "Respiration monitor"]],
  [SCALE, ["MDC_DEV_SPEC_PROFILE_SCALE", "Weighing scale"]],
  [GLUCOSE_METER, ["MDC_DEV_SPEC_PROFILE_GLUCOSE", "Glucose meter"]],
  [GENERIC_DEVICE, ["MDC_DEV_SPEC_PROFILE_GENERIC", "Personal health device"]],
]);

const HEART_RATE = ["8867-4", "Heart rate"] as const;
const pressure = (name: string, text: string, code: string): MdcMetric => ({
  name: `MDC_PRESS_BLD_NONINV_${name}`,
  text: `${text} blood pressure`,
  loinc: [[code, `${text} blood pressure`]],
  category: "vital-signs",
  profile: null, // alone it is a part of one
  units: [MMHG],
  device: BLOOD_PRESSURE_MONITOR,
});
const lead = (suffix: string, text: string): MdcMetric => ({
  name: `MDC_ECG_ELEC_POTL${suffix}`,
  text,
  loinc: [["11524-6", "EKG study"]],
  category: "procedure",
  profile: null,
  units: [MILLIVOLT, MICROVOLT],
  device: ELECTROCARDIOGRAPH,
});

export const MDC_METRICS: ReadonlyMap<number, MdcMetric> = new Map<number, MdcMetric>([
  [
    150456,
    {
      name: "MDC_PULS_OXIM_SAT_O2",
      text: "SpO2",
      loinc: [
        ["2708-6", "Oxygen saturation in Arterial blood"],
        ["59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"],
      ],
      category: "vital-signs",
      profile: "oxygensat",
      units: [PERCENT],
      device: OXIMETER,
    },
  ],
  [
    149530,
    {
      name: "MDC_PULS_OXIM_PULS_RATE",
      text: "Pulse rate",
      loinc: [HEART_RATE],
      category: "vital-signs",
      profile: "heartrate",
      units: [BEATS],
      device: OXIMETER,
    },
  ],
  [
    147842,
    {
      name: "MDC_ECG_HEART_RATE",
      text: "Heart rate",
      loinc: [HEART_RATE],
      category: "vital-signs",
      profile: "heartrate",
      units: [BEATS],
      device: ELECTROCARDIOGRAPH,
    },
  ],
  [
    150364,
    {
      name: "MDC_TEMP_BODY",
      text: "Body temperature",
      loinc: [["8310-5", "Body temperature"]],
      category: "vital-signs",
      profile: "bodytemp",
      units: [CELSIUS, FAHRENHEIT],
      device: THERMOMETER,
    },
  ],
  [
    151562,
    {
      name: "MDC_RESP_RATE",
      text: "Respiratory rate",
      loinc: [["9279-1", "Respiratory rate"]],
      category: "vital-signs",
      profile: "resprate",
      units: [BREATHS],
      device: RESPIRATION_MONITOR,
    },
  ],
  [
    188736,
    {
      name: "MDC_MASS_BODY_ACTUAL",
      text: "Body weight",
      loinc: [["29463-7", "Body weight"]],
      category: "vital-signs",
      profile: "bodyweight",
      units: [KG, GRAM, POUND],
      device: SCALE,
    },
  ],
  [
    150020,
    {
      name: "MDC_PRESS_BLD_NONINV",
      text: "Blood pressure",
      loinc: [["85354-9", "Blood pressure panel with all children optional"]],
      category: "vital-signs",
      profile: "bp",
      units: [],
      device: BLOOD_PRESSURE_MONITOR,
    },
  ],
  [150021, pressure("SYS", "Systolic", "8480-6")],
  [150022, pressure("DIA", "Diastolic", "8462-4")],
  [150023, pressure("MEAN", "Mean", "8478-0")],
  [
    160184,
    {
      name: "MDC_CONC_GLU_CAPILLARY_WHOLEBLOOD",
      text: "Capillary glucose",
      // 41653-7 is mass per volume: metricOf() leaves it out where the unit is mmol/L
      loinc: [["41653-7", "Glucose [Mass/volume] in Capillary blood by Glucometer"]],
      category: "laboratory",
      profile: null,
      units: [MG_DL, MMOL_L],
      device: GLUCOSE_METER,
    },
  ],
  [131328, lead("", "ECG")],
  [131329, lead("_I", "ECG lead I")],
  [131330, lead("_II", "ECG lead II")],
  [
    150452,
    {
      name: "MDC_PULS_OXIM_PLETH",
      text: "Plethysmogram",
      loinc: [],
      category: "procedure",
      profile: null,
      units: [262656, PERCENT],
      device: OXIMETER,
    },
  ],
]);

/** What a channel measures; undefined when we don't know the code, or it never comes in that unit. */
export function metricOf(code: number, unitCode: number): MdcMetric | undefined {
  const metric = MDC_METRICS.get(code);
  if (metric === undefined || !metric.units.includes(unitCode)) return undefined;
  return code === 160184 && unitCode === MMOL_L
    ? { ...metric, loinc: [["14743-9", "Glucose [Moles/volume] in Capillary blood by Glucometer"]] }
    : metric;
}
