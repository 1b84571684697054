//! Scripts and their definitions: scanner, DTD, validator, event list, interpreter.
