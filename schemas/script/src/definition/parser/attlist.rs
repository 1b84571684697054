//! Attribute list declarations (XML 1.0, fifth edition, 3.3).

use super::super::attribute::{Kind, Presence};
use super::super::input::Frame;
use super::{Attribute, Parser, Type};
use crate::diagnostic::{Problem, fail, shown};
use crate::limit::{ATTRIBUTES_MAX, WORDS_MAX};
use crate::literal::attribute_value;
use crate::text::is_name_char;

impl Parser<'_, '_> {
    pub(super) fn attlist(&mut self, frame: Frame) -> Result<(), Problem> {
        self.space()?;
        let element = self.input.cursor().name("the name of an element")?.to_owned();
        loop {
            let parted = self.input.white()?;
            if self.input.peek() == Some('>') {
                return self.close(frame);
            }
            if !parted {
                return self.space();
            }
            let at = self.input.at();
            let name = self.input.cursor().attribute_name("the name of an attribute or `>`")?.to_owned();
            self.space()?;
            let kind = self.kind()?;
            self.space()?;
            let presence = self.presence(&kind)?;
            self.declare(&element, name, Attribute { at, kind, presence })?;
        }
    }

    /// Keeps the first declaration of an attribute: that one holds.
    fn declare(&mut self, element: &str, name: String, attribute: Attribute) -> Result<(), Problem> {
        let attributes = self.declared.attributes.entry(element.to_owned()).or_default();
        if attributes.len() >= ATTRIBUTES_MAX {
            return fail(attribute.at, format!("<{element}> has more than {ATTRIBUTES_MAX} attributes"));
        }
        attributes.entry(name.into()).or_insert(attribute);
        Ok(())
    }

    fn kind(&mut self) -> Result<Type, Problem> {
        let cursor = self.input.cursor();
        let at = cursor.at();
        if cursor.eat("(") {
            return self.words().map(Kind::OneOf).map(Type::Plain);
        }
        let word = cursor.take_while(is_name_char).to_owned();
        match word.as_str() {
            "CDATA" => Ok(Type::Plain(Kind::Cdata)),
            "ID" => Ok(Type::Plain(Kind::Id)),
            "IDREF" => Ok(Type::Plain(Kind::Idref)),
            "IDREFS" => Ok(Type::Plain(Kind::Idrefs)),
            "NMTOKEN" => Ok(Type::Plain(Kind::Nmtoken)),
            "NMTOKENS" => Ok(Type::Plain(Kind::Nmtokens)),
            "ENTITY" => Ok(Type::Entity),
            "ENTITIES" => Ok(Type::Entities),
            "NOTATION" => {
                self.space()?;
                self.expect("(")?;
                self.words().map(Type::Notation)
            }
            "" => fail(at, format!("expected the type of an attribute, found {}", cursor.found())),
            _ => fail(at, format!("expected the type of an attribute, found {}", shown(&word))),
        }
    }

    fn words(&mut self) -> Result<Vec<String>, Problem> {
        let mut words: Vec<String> = Vec::new();
        loop {
            self.input.white()?;
            let at = self.input.at();
            let word = self.input.cursor().take_while(is_name_char).to_owned();
            if word.is_empty() {
                return fail(at, format!("expected a word, found {}", self.input.cursor().found()));
            }
            if words.contains(&word) {
                self.report.add(at, format!("{} is listed twice", shown(&word)));
            }
            if words.len() >= WORDS_MAX {
                return fail(at, format!("there are more than {WORDS_MAX} words"));
            }
            words.push(word);
            self.input.white()?;
            if !self.input.cursor().eat("|") {
                self.expect(")")?;
                return Ok(words);
            }
        }
    }

    fn presence(&mut self, kind: &Type) -> Result<Presence, Problem> {
        let cursor = self.input.cursor();
        if cursor.eat("#REQUIRED") {
            return Ok(Presence::Required);
        }
        if cursor.eat("#IMPLIED") {
            return Ok(Presence::Implied);
        }
        let is_fixed = cursor.eat("#FIXED");
        if is_fixed {
            self.space()?;
        }
        let mut value = String::new();
        attribute_value(self.input.cursor(), self.report, &mut value)?;
        let value = match kind {
            Type::Plain(kind) => kind.normalise(&value),
            // Names, like those of ids.
            Type::Entity | Type::Entities | Type::Notation(_) => Kind::Idrefs.normalise(&value),
        };
        Ok(if is_fixed { Presence::Fixed(value) } else { Presence::Supplied(value) })
    }
}
