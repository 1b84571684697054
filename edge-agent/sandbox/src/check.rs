//! The static checks of registration: whether an app's imports lie within its grants, and whether it exports what
//! event lists want of it. Nothing runs; nothing is loaded.

use flotilla_schemas::Type;
use flotilla_schemas::app::{Grants, Interface};

/// An operation as an event list wants to call it.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Its name.
    pub operation: String,
    /// What each argument may be, in order.
    pub args: Vec<Type>,
}

/// Why an app does not fit its manifest or an event list.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CheckError {
    /// It imports an interface of which nothing is granted.
    #[error("import {0}: nothing of it is granted in the manifest")]
    Ungranted(String),
    /// It exports no such operation.
    #[error("call {operation}: the app exports {}", listed(.exported))]
    Missing {
        /// The operation that was wanted.
        operation: String,
        /// Those that there are.
        exported: Vec<String>,
    },
    /// It takes another number of arguments.
    #[error("call {operation}: it takes {takes} arguments, not {given}")]
    Arity {
        /// The operation.
        operation: String,
        /// How many it takes.
        takes: usize,
        /// How many it would be given.
        given: usize,
    },
    /// An argument may be what the operation does not take.
    #[error("call {operation}: {param} is {takes}, but would be given {given}")]
    Argument {
        /// The operation.
        operation: String,
        /// The name of the parameter.
        param: String,
        /// What it takes.
        takes: Type,
        /// What it would be given.
        given: Type,
    },
}

/// Checks an app's interface against its grants and against what is wanted of it.
///
/// # Errors
/// Everything that does not fit, at once.
pub fn check(interface: &Interface, grants: &Grants, wanted: &[Wanted]) -> Result<(), Vec<CheckError>> {
    let mut errors: Vec<CheckError> = ungranted(interface, grants).map(CheckError::Ungranted).collect();
    for wanted in wanted {
        check_operation(interface, wanted, &mut errors);
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// The interfaces that are imported although nothing of them is granted.
pub(crate) fn ungranted(interface: &Interface, grants: &Grants) -> impl Iterator<Item = String> {
    let granted = |name: &str| match name {
        "device-read" => !grants.device_read.is_empty(),
        "device-write" => !grants.device_write.is_empty(),
        "events" => !grants.events.is_empty(),
        "kv" => grants.kv,
        always => always == "log" || always == "clock",
    };
    interface.imports.iter().filter(move |name| !granted(name)).cloned()
}

fn check_operation(interface: &Interface, wanted: &Wanted, errors: &mut Vec<CheckError>) {
    let name = || wanted.operation.clone();
    let Some(operation) = interface.operation(&wanted.operation) else {
        let exported = interface.operations.iter().map(|operation| operation.name.clone()).collect();
        errors.push(CheckError::Missing { operation: name(), exported });
        return;
    };
    let (takes, given) = (operation.params.len(), wanted.args.len());
    if takes != given {
        errors.push(CheckError::Arity { operation: name(), takes, given });
        return;
    }
    for ((param, takes), given) in operation.params.iter().zip(&wanted.args) {
        if !takes.admits(given) {
            let (param, takes, given) = (param.clone(), takes.clone(), given.clone());
            errors.push(CheckError::Argument { operation: name(), param, takes, given });
        }
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "no operation".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use flotilla_schemas::app::Operation;

    use super::*;

    fn interface() -> Interface {
        let speed = Type::Choice { of: vec!["low".into(), "high".into()] };
        let number = Type::Number { min: None, max: None };
        let operation = |name: &str, param: &str, ty: &Type| Operation {
            name: name.to_owned(),
            params: vec![(param.to_owned(), ty.clone())],
            result: None,
        };
        Interface {
            imports: ["device-write", "kv", "log", "clock"].map(str::to_owned).into(),
            operations: vec![
                operation("set-wind", "speed", &speed),
                operation("set-temperature", "celsius", &number),
            ],
        }
    }

    fn wanted(operation: &str, args: &[Type]) -> Wanted {
        Wanted { operation: operation.to_owned(), args: args.to_vec() }
    }

    #[test]
    fn what_fits_passes() {
        let grants =
            serde_json::from_str(r#"{"device_write": [{"device": "a", "points": ["p"]}], "kv": true}"#);
        let degrees = Type::Number { min: Some(16.0), max: Some(30.0) };
        let wanted = [
            wanted("set-temperature", &[degrees]),
            wanted("set-wind", &[Type::Choice { of: vec!["low".into()] }]),
        ];
        assert_eq!(check(&interface(), &grants.unwrap(), &wanted), Ok(()));
    }

    #[test]
    fn everything_that_does_not_fit_is_told_at_once() {
        let fast = Type::Choice { of: vec!["fast".into()] };
        let wanted = [wanted("set-wind", &[fast]), wanted("set-temperature", &[]), wanted("dance", &[])];
        let errors = check(&interface(), &Grants::default(), &wanted).unwrap_err();
        assert_eq!(
            errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "import device-write: nothing of it is granted in the manifest",
                "import kv: nothing of it is granted in the manifest",
                "call set-wind: speed is one of low, high, but would be given one of fast",
                "call set-temperature: it takes 1 arguments, not 0",
                "call dance: the app exports set-wind, set-temperature",
            ]
        );
    }
}
