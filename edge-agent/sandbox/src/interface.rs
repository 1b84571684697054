//! What an app can do and needs, read from its component: the types in the component are the one truth of it.
//!
//! An app imports interfaces of `fleet:edge` and nothing else, and exports functions of plain types. Whatever else
//! it imports or exports is refused by name, all of it at once.

use std::collections::{BTreeMap, BTreeSet};

use flotilla_schemas::Type;
use flotilla_schemas::app::{Interface, Operation};
use wasmtime::Engine;
use wasmtime::component::types::{self, ComponentFunc, ComponentItem};
use wasmtime::component::{Component, ComponentExportIndex};

/// What stands before the name of an interface that an edge offers.
const PACKAGE: &str = "fleet:edge/";
/// What stands behind it.
const VERSION: &str = "@0.1.0";
/// The interfaces that an edge offers, besides the types that they share.
pub(crate) const OFFERED: [&str; 6] = ["clock", "device-read", "device-write", "events", "kv", "log"];
/// The interface that holds nothing but types.
const TYPES: &str = "types";
/// What componentize-py leaves behind of Python's start, which ran when the app was built. Nothing calls it.
const PYTHON_START: &str = "exports";

/// Why a component is no app.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterfaceError {
    /// The bytes are no component.
    #[error("read the component: {0}")]
    Component(String),
    /// It needs what no edge offers.
    #[error("import {0}: an edge offers the interfaces of fleet:edge@0.1.0 and nothing else")]
    Import(String),
    /// It exports what is no operation.
    #[error("export {0}: only functions and types can be exported, at the root of the world")]
    Export(String),
    /// A type of an operation has no form outside of WebAssembly.
    #[error("export {operation}: {place} is {found}, which a script cannot say")]
    Type {
        /// The operation.
        operation: String,
        /// The parameter, or the result.
        place: String,
        /// The type, as WIT calls it.
        found: &'static str,
    },
    /// An operation returns an error that is not the `fault` of `fleet:edge`.
    #[error("export {0}: its error is not the fault of fleet:edge/types")]
    Fault(String),
}

/// An operation and where it is in the component.
#[derive(Clone)]
pub(crate) struct Export {
    pub(crate) operation: Operation,
    pub(crate) params: Vec<types::Type>,
    pub(crate) index: ComponentExportIndex,
}

/// What one compilation of an app gives.
#[cfg(feature = "compiler")]
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// What the app can do and needs.
    pub interface: Interface,
    /// Machine code for the sandbox that made it, as [`Sandbox::compile`](crate::Sandbox::compile) makes it.
    pub machine: Vec<u8>,
}

#[cfg(feature = "compiler")]
impl crate::Sandbox {
    /// Reads what an app can do and needs, and compiles it.
    ///
    /// # Errors
    /// Everything for which the component cannot be an app, at once.
    pub fn compile_app(&self, wasm: &[u8]) -> Result<Compiled, Vec<InterfaceError>> {
        let unreadable = |error: wasmtime::Error| vec![InterfaceError::Component(format!("{error:#}"))];
        let component = Component::from_binary(&self.engine, wasm).map_err(unreadable)?;
        let (interface, _) = read(&component)?;
        Ok(Compiled { interface, machine: component.serialize().map_err(unreadable)? })
    }

    /// Reads what an app can do and needs. Takes as long as [`Sandbox::compile_app`](crate::Sandbox::compile_app).
    ///
    /// # Errors
    /// Everything for which the component cannot be an app, at once.
    pub fn inspect(&self, wasm: &[u8]) -> Result<Interface, Vec<InterfaceError>> {
        self.compile_app(wasm).map(|app| app.interface)
    }
}

/// The interface of a component, and where its operations are, both in the order of their names.
pub(crate) fn read(component: &Component) -> Result<(Interface, Vec<Export>), Vec<InterfaceError>> {
    let engine = component.engine();
    let mut errors = Vec::new();
    let imports = imports(engine, component, &mut errors);
    let exports = exports(engine, component, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let operations = exports.iter().map(|export| export.operation.clone()).collect();
    Ok((Interface { imports, operations }, exports))
}

fn imports(engine: &Engine, component: &Component, errors: &mut Vec<InterfaceError>) -> BTreeSet<String> {
    let mut imports = BTreeSet::new();
    for (name, item) in component.component_type().imports(engine) {
        let offered = name.strip_prefix(PACKAGE).and_then(|rest| rest.strip_suffix(VERSION));
        match (offered, item.ty) {
            (_, ComponentItem::Type(_)) | (Some(TYPES), _) => {}
            (Some(offered), _) if OFFERED.contains(&offered) => {
                imports.insert(offered.to_owned());
            }
            _ => errors.push(InterfaceError::Import(name.to_owned())),
        }
    }
    imports
}

fn exports(engine: &Engine, component: &Component, errors: &mut Vec<InterfaceError>) -> Vec<Export> {
    let ty = component.component_type();
    let by_name: BTreeMap<_, _> = ty.exports(engine).collect();
    let mut exports = Vec::new();
    for (name, item) in by_name {
        let index = component.get_export_index(None, name);
        match (item.ty, index) {
            (ComponentItem::Type(_), _) => {}
            (ComponentItem::ComponentInstance(_), _) if name == PYTHON_START => {}
            (ComponentItem::ComponentFunc(function), Some(index)) => match operation(name, &function) {
                Ok(operation) => {
                    let params = function.params().map(|(_, ty)| ty).collect();
                    exports.push(Export { operation, params, index });
                }
                Err(error) => errors.push(error),
            },
            _ => errors.push(InterfaceError::Export(name.to_owned())),
        }
    }
    exports
}

fn operation(name: &str, function: &ComponentFunc) -> Result<Operation, InterfaceError> {
    let named = |place: String, found| InterfaceError::Type { operation: name.to_owned(), place, found };
    let param = |(param, ty): (&str, types::Type)| match plain(&ty) {
        Ok(plain) => Ok((param.to_owned(), plain)),
        Err(found) => Err(named(format!("parameter {param}"), found)),
    };
    let params = function.params().map(param).collect::<Result<_, _>>()?;
    let result = match function.results().next() {
        Some(types::Type::Result(result)) if result.err().as_ref().is_some_and(is_fault) => result.ok(),
        Some(types::Type::Result(_)) => return Err(InterfaceError::Fault(name.to_owned())),
        other => other,
    };
    let result =
        result.as_ref().map(plain).transpose().map_err(|found| named("the result".to_owned(), found))?;
    Ok(Operation { name: name.to_owned(), params, result })
}

fn is_fault(ty: &types::Type) -> bool {
    let types::Type::Record(record) = ty else { return false };
    let fields: Vec<(&str, types::Type)> = record.fields().map(|field| (field.name, field.ty)).collect();
    matches!(fields.as_slice(), [("code", types::Type::String), ("message", types::Type::String)])
}

/// A type of WIT as the rest of the fleet sees it, or the name of one that it does not know.
fn plain(ty: &types::Type) -> Result<Type, &'static str> {
    let whole = |min: i64, max: i64| Ok(Type::Integer { min, max });
    match ty {
        types::Type::Bool => Ok(Type::Bool),
        types::Type::S8 => whole(i8::MIN.into(), i8::MAX.into()),
        types::Type::U8 => whole(0, u8::MAX.into()),
        types::Type::S16 => whole(i16::MIN.into(), i16::MAX.into()),
        types::Type::U16 => whole(0, u16::MAX.into()),
        types::Type::S32 => whole(i32::MIN.into(), i32::MAX.into()),
        types::Type::U32 => whole(0, u32::MAX.into()),
        types::Type::S64 => whole(i64::MIN, i64::MAX),
        types::Type::U64 => whole(0, i64::MAX),
        types::Type::Float32 => Ok(Type::Number { min: Some(f32::MIN.into()), max: Some(f32::MAX.into()) }),
        types::Type::Float64 => Ok(Type::Number { min: None, max: None }),
        types::Type::String => Ok(Type::Text { max: None }),
        types::Type::Enum(of) => Ok(Type::Choice { of: of.names().map(str::to_owned).collect() }),
        types::Type::List(of) => Ok(Type::List { of: Box::new(plain(&of.ty())?) }),
        types::Type::Option(of) => Ok(Type::Option { of: Box::new(plain(&of.ty())?) }),
        types::Type::Record(record) => {
            let field = |field: types::Field<'_>| Ok((field.name.to_owned(), plain(&field.ty)?));
            Ok(Type::Record { of: record.fields().map(field).collect::<Result<_, _>>()? })
        }
        types::Type::Char => Err("a char"),
        types::Type::Map(_) => Err("a map"),
        types::Type::Tuple(_) => Err("a tuple"),
        types::Type::Variant(_) => Err("a variant"),
        types::Type::Result(_) => Err("a result"),
        types::Type::Flags(_) => Err("a set of flags"),
        types::Type::FixedLengthList(_) => Err("a list of fixed length"),
        types::Type::Own(_) | types::Type::Borrow(_) => Err("a resource"),
        types::Type::Future(_) | types::Type::Stream(_) | types::Type::ErrorContext => Err("asynchronous"),
    }
}
