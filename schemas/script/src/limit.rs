//! How much of anything is read. What lies beyond is refused with a diagnostic that names the limit.

/// The largest script, in bytes.
pub const SCRIPT_BYTES_MAX: usize = 1 << 20;

/// The largest definition, in bytes.
pub const DEFINITION_BYTES_MAX: usize = 256 << 10;

/// The largest event list, in bytes.
pub const EVENT_LIST_BYTES_MAX: usize = 256 << 10;

/// The longest name of an element, attribute, entity or processing instruction, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// The most elements in a script. A plan has two steps for each of them, and one for each text.
pub const ELEMENTS_MAX: usize = 16_384;

/// The deepest nesting of elements in a script, the root being 1. The tree's parser is quadratic in depth.
pub const DEPTH_MAX: usize = 64;

/// The most attributes of one element, written or declared. The tree's parser is quadratic in them.
pub const ATTRIBUTES_MAX: usize = 64;

/// The most elements that a definition declares.
pub const DECLARATIONS_MAX: usize = 1024;

/// The deepest nesting of parentheses in a content model.
pub const MODEL_DEPTH_MAX: usize = 32;

/// The most names in all content models of a definition together.
pub const MODEL_NAMES_MAX: usize = 16_384;

/// The most transitions that are made for all content models of a definition together. A model of `n` names, each of
/// which may be left out, needs `n² / 2` of them.
pub const TRANSITIONS_MAX: usize = 1 << 18;

/// The most words of which an attribute may be one.
pub const WORDS_MAX: usize = 256;

/// The deepest nesting of parameter entities; one that contains itself meets it too.
pub const ENTITY_DEPTH_MAX: usize = 16;

/// The most bytes that all references to parameter entities of a definition may put in together.
pub const EXPANSION_BYTES_MAX: usize = 1 << 20;

/// The most arguments that an event list gives to an operation.
pub const ARGS_MAX: usize = 16;

/// The most bytes of arguments in a plan, a few for each value and one for each byte of text: a short script must
/// not become a large plan by repeating what its definition or event list supplies.
pub const PLAN_BYTES_MAX: usize = 8 << 20;

/// The most diagnostics that are listed; one more says how many were left out.
pub const DIAGNOSTICS_MAX: usize = 100;

/// The most alternatives that a diagnostic names after `expected`.
pub const EXPECTED_MAX: usize = 8;

/// The most characters of a script's or definition's own text that a diagnostic shows.
pub const SHOWN_CHARS_MAX: usize = 60;

/// The most that a definition gives to cover: elements, alternatives, repetitions, values.
pub const ITEMS_MAX: usize = 1 << 16;

/// How deep a generated script grows; deeper down it gets what must be there and nothing else.
pub const GROWTH_DEPTH_MAX: usize = 24;

/// How large a generated script grows, in bytes, before the rest of it gets what must be there and nothing else.
pub const GROWTH_BYTES_MAX: usize = 4 << 10;

/// How often one part of a generated script is repeated.
pub const REPEATS_MAX: usize = 64;

/// How many generated scripts in a row may show nothing new before the generator gives up.
pub const STALLS_MAX: usize = 256;

/// How many bytes of scripts are looked at to find the shortest one.
pub const SHRINK_BYTES_MAX: usize = 256 << 20;
