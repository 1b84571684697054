//! Where a point lies in a Modbus device, and how its bits are a value.

use flotilla_sandbox::{Access, PointSection};
use flotilla_schemas::{Type, Value};
use tokio_modbus::{Request, Response};

/// One or two registers, or a coil.
#[derive(Debug, Clone)]
pub struct Register {
    table: Table,
    /// Its number in the table, from 0, as it travels.
    address: u16,
    data: Data,
    /// Of two registers the first holds the lower half.
    little: bool,
    scale: f64,
    offset: f64,
    ty: Type,
}

/// The tables of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Holding,
    Input,
    Coil,
    Discrete,
}

/// What the bits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Data {
    U16,
    I16,
    U32,
    I32,
    F32,
}

impl Register {
    /// Reads what a section says of a point: its `register` (`holding`, `input`, `coil` or `discrete`), its
    /// `address` there, counted from 0; for registers also the `data` (`u16`, the default, `i16`, `u32`, `i32` or
    /// `f32`), which of two `words` comes first (`big`, the default, or `little`), and `scale` and `offset`: the value
    /// is what the register holds, times the scale, plus the offset.
    ///
    /// A truth value is 0 or 1; a choice is the number of its name, from 0.
    pub fn read(section: &mut PointSection) -> Option<Self> {
        let keys = &mut section.keys;
        let tables = [
            ("holding", Table::Holding),
            ("input", Table::Input),
            ("coil", Table::Coil),
            ("discrete", Table::Discrete),
        ];
        if !keys.has("register") {
            keys.problem::<()>("register", "is missing");
        }
        let table = keys.one_of("register", &tables);
        let address = keys.need("address");
        let datas = [
            ("u16", Data::U16),
            ("i16", Data::I16),
            ("u32", Data::U32),
            ("i32", Data::I32),
            ("f32", Data::F32),
        ];
        let data = keys.one_of("data", &datas);
        let little = keys.one_of("words", &[("big", false), ("little", true)]);
        let (scale, offset) = (keys.take("scale"), keys.take("offset"));
        let is_bit = matches!(table, Some(Table::Coil | Table::Discrete));
        if is_bit && (data.is_some() || little.is_some() || scale.is_some() || offset.is_some()) {
            keys.problem::<()>("register", "is one bit: data, words, scale and offset are for registers");
        }
        let (scale, offset): (f64, f64) = (scale.unwrap_or(1.0), offset.unwrap_or(0.0));
        keys.within("offset", offset, None);
        if scale == 0.0 || !scale.is_finite() {
            keys.problem::<()>("scale", format!("{scale} scales nothing"));
        }
        let (data, point) = (data.unwrap_or(Data::U16), section.point.as_ref());
        let access = point.map(|point| point.access);
        if access == Some(Access::ReadWrite) && matches!(table, Some(Table::Input | Table::Discrete)) {
            keys.problem::<()>("access", "this register can be read alone, r");
        }
        if data.words() == 2 && address == Some(u16::MAX) {
            keys.problem::<()>(
                "address",
                format!("{} is the last: there is none for the other half", u16::MAX),
            );
        }
        let (ty, table, address) = (point?.ty.clone(), table?, address?);
        let register = Self { table, address, data, little: little.unwrap_or(false), scale, offset, ty };
        match register.misfit() {
            Some(what) => _ = keys.problem::<()>("type", what),
            None if access == Some(Access::ReadWrite) => {
                register.beyond().for_each(|(key, what)| _ = keys.problem::<()>(key, what));
            }
            None => {}
        }
        Some(register)
    }

    /// Why the type does not fit the register.
    fn misfit(&self) -> Option<&'static str> {
        let is_bit = matches!(self.table, Table::Coil | Table::Discrete);
        let is_plain = self.scale == 1.0 && self.offset == 0.0 && self.data != Data::F32;
        match &self.ty {
            Type::Bool if is_bit => None,
            _ if is_bit => Some("one bit is a bool"),
            Type::Number { .. } => None,
            Type::Integer { .. } if self.data == Data::F32 => Some("f32 is a number"),
            Type::Integer { .. } if self.scale.fract() == 0.0 && self.offset.fract() == 0.0 => None,
            Type::Integer { .. } => Some("what is scaled by a fraction is a number"),
            Type::Bool | Type::Choice { .. } if is_plain => None,
            Type::Bool | Type::Choice { .. } => {
                Some("a bool or a choice is a plain whole number, not scaled")
            }
            _ => Some("a register holds no text"),
        }
    }

    /// The ends of what a point may be set to that the register cannot hold.
    fn beyond(&self) -> impl Iterator<Item = (&'static str, String)> {
        let ends = match self.ty {
            Type::Integer { min, max } => {
                [Some(min).filter(|min| *min != i64::MIN), Some(max).filter(|max| *max != i64::MAX)]
                    .map(|end| Some(end.map(Value::Integer)))
            }
            Type::Number { min, max } => [min, max].map(|end| Some(end.map(Value::Number))),
            _ => [None, None],
        };
        let beyond = |(key, end): (_, Option<Value>)| match end {
            None => Some((key, "is missing: no register holds every number".to_owned())),
            Some(end) => {
                self.setting(&end).is_none().then(|| (key, format!("the register cannot hold {end}")))
            }
        };
        ["min", "max"].into_iter().zip(ends).filter_map(move |(key, end)| beyond((key, end?)))
    }

    /// What asks for it.
    pub fn reading(&self) -> Request<'static> {
        let (at, words) = (self.address, self.data.words());
        match self.table {
            Table::Holding => Request::ReadHoldingRegisters(at, words),
            Table::Input => Request::ReadInputRegisters(at, words),
            Table::Coil => Request::ReadCoils(at, 1),
            Table::Discrete => Request::ReadDiscreteInputs(at, 1),
        }
    }

    /// The value in an answer; none if that is not what was asked for.
    pub fn value(&self, answer: &Response) -> Option<Value> {
        match (self.table, answer) {
            (Table::Coil, Response::ReadCoils(bits))
            | (Table::Discrete, Response::ReadDiscreteInputs(bits)) => {
                bits.first().map(|bit| Value::Bool(*bit))
            }
            (Table::Holding, Response::ReadHoldingRegisters(words))
            | (Table::Input, Response::ReadInputRegisters(words))
                if words.len() == usize::from(self.data.words()) =>
            {
                Some(self.typed(self.data.number(self.bits(words))))
            }
            _ => None,
        }
    }

    /// What sets it to a value; none if it cannot hold that. A number becomes the nearest that it holds, a whole number
    /// stays what it is.
    pub fn setting(&self, value: &Value) -> Option<Request<'static>> {
        if let (Table::Coil, Value::Bool(bit)) = (self.table, value) {
            return Some(Request::WriteSingleCoil(self.address, *bit));
        }
        let number = match (&self.ty, value) {
            (_, Value::Bool(truth)) => f64::from(u8::from(*truth)),
            (Type::Choice { of }, Value::Text(name)) => of.iter().position(|known| known == name)? as f64,
            _ => (value.as_f64()? - self.offset) / self.scale,
        };
        let bits = self.data.bits(number)?;
        if matches!(self.ty, Type::Integer { .. }) && self.typed(self.data.number(bits)) != *value {
            return None;
        }
        let (high, low) = ((bits >> 16) as u16, bits as u16);
        Some(match (self.data.words(), self.little) {
            (1, _) => Request::WriteSingleRegister(self.address, low),
            (_, false) => Request::WriteMultipleRegisters(self.address, vec![high, low].into()),
            (_, true) => Request::WriteMultipleRegisters(self.address, vec![low, high].into()),
        })
    }

    fn bits(&self, words: &[u16]) -> u32 {
        let mut bits = 0;
        for at in 0..words.len() {
            let at = if self.little { words.len() - 1 - at } else { at };
            bits = (bits << 16) | words.get(at).copied().map_or(0, u32::from);
        }
        bits
    }

    /// A number of the register as the point's type has it; one that the type has not is left for its check.
    fn typed(&self, number: f64) -> Value {
        match &self.ty {
            Type::Bool if number == 0.0 || number == 1.0 => Value::Bool(number == 1.0),
            Type::Choice { of } => match of.get(number as usize) {
                Some(name) if number >= 0.0 => Value::Text(name.clone()),
                _ => Value::Integer(number as i64),
            },
            Type::Bool => Value::Integer(number as i64),
            Type::Integer { .. } => Value::Integer((number * self.scale + self.offset) as i64),
            _ => Value::Number(number * self.scale + self.offset),
        }
    }
}

impl Data {
    /// How many registers it takes.
    fn words(self) -> u16 {
        if matches!(self, Self::U16 | Self::I16) { 1 } else { 2 }
    }

    fn number(self, bits: u32) -> f64 {
        match self {
            Self::U16 | Self::U32 => f64::from(bits),
            Self::I16 => f64::from(bits as u16 as i16),
            Self::I32 => f64::from(bits as i32),
            Self::F32 => f64::from(f32::from_bits(bits)),
        }
    }

    /// The nearest that it can hold; none if the number is beyond that.
    fn bits(self, number: f64) -> Option<u32> {
        let whole = number.round();
        let within = |min: f64, max: f64| (min..=max).contains(&whole);
        match self {
            Self::U16 => within(0.0, u16::MAX.into()).then_some(whole as u32),
            Self::I16 => within(i16::MIN.into(), i16::MAX.into()).then_some(u32::from(whole as i16 as u16)),
            Self::U32 => within(0.0, u32::MAX.into()).then_some(whole as u32),
            Self::I32 => within(i32::MIN.into(), i32::MAX.into()).then_some(whole as i32 as u32),
            Self::F32 => Some(number as f32).filter(|number| number.is_finite()).map(f32::to_bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(ty: Type, data: Data, little: bool, scale: f64, offset: f64) -> Register {
        Register { table: Table::Holding, address: 7, data, little, scale, offset, ty }
    }

    fn number() -> Type {
        Type::Number { min: None, max: None }
    }

    fn there_and_back(register: &Register, value: &Value) -> (Vec<u16>, Value) {
        let words = match register.setting(value).unwrap() {
            Request::WriteSingleRegister(7, word) => vec![word],
            Request::WriteMultipleRegisters(7, words) => words.into_owned(),
            other => panic!("{other:?}"),
        };
        let back = register.value(&Response::ReadHoldingRegisters(words.clone())).unwrap();
        (words, back)
    }

    #[test]
    fn a_value_comes_back_from_the_registers_that_it_was_put_into() {
        for (data, little, value, words) in [
            (Data::U16, false, 65_535.0, vec![65_535]),
            (Data::I16, false, -2.0, vec![0xfffe]),
            (Data::U32, false, 65_537.0, vec![1, 1]),
            (Data::I32, false, -2.0, vec![0xffff, 0xfffe]),
            (Data::I32, true, -2.0, vec![0xfffe, 0xffff]),
            (Data::F32, false, 21.5, vec![0x41ac, 0]),
            (Data::F32, true, 21.5, vec![0, 0x41ac]),
        ] {
            let register = register(number(), data, little, 1.0, 0.0);
            let value = Value::Number(value);
            assert_eq!(there_and_back(&register, &value), (words, value), "{data:?}");
        }
    }

    #[test]
    fn scale_and_offset_stand_between_the_register_and_the_value() {
        let tenths = register(number(), Data::I16, false, 0.5, -40.0);
        assert_eq!(there_and_back(&tenths, &Value::Number(-50.0)), (vec![65_516], Value::Number(-50.0)));
        let whole = register(Type::Integer { min: -9, max: 99 }, Data::U16, false, 2.0, 1.0);
        assert_eq!(there_and_back(&whole, &Value::Integer(21)), (vec![10], Value::Integer(21)));
    }

    #[test]
    fn what_a_register_cannot_hold_is_not_sent() {
        for (data, beyond) in [
            (Data::U16, -1.0),
            (Data::U16, 65_536.0),
            (Data::I16, 32_768.0),
            (Data::U32, -1.0),
            (Data::I32, 3e9),
        ] {
            assert!(register(number(), data, false, 1.0, 0.0).setting(&Value::Number(beyond)).is_none());
        }
        assert!(register(number(), Data::F32, false, 1.0, 0.0).setting(&Value::Number(1e300)).is_none());
    }

    #[test]
    fn a_whole_number_that_would_become_another_is_not_sent() {
        let tens = register(Type::Integer { min: 0, max: 90 }, Data::U16, false, 10.0, 0.0);
        assert_eq!(there_and_back(&tens, &Value::Integer(20)), (vec![2], Value::Integer(20)));
        assert!(tens.setting(&Value::Integer(21)).is_none());
    }

    #[test]
    fn a_choice_is_the_number_of_its_name_and_any_other_number_is_left_for_the_check() {
        let ty = Type::Choice { of: vec!["low".into(), "high".into()] };
        let wind = register(ty.clone(), Data::U16, false, 1.0, 0.0);
        assert_eq!(there_and_back(&wind, &"high".into()), (vec![1], "high".into()));
        let strange = wind.value(&Response::ReadHoldingRegisters(vec![2])).unwrap();
        assert!(ty.check(&strange).is_err(), "{strange:?}");
        let power = register(Type::Bool, Data::U16, false, 1.0, 0.0);
        assert_eq!(there_and_back(&power, &true.into()), (vec![1], true.into()));
        assert_eq!(power.value(&Response::ReadHoldingRegisters(vec![2])), Some(Value::Integer(2)));
    }

    #[test]
    fn an_answer_of_another_length_or_kind_is_no_answer() {
        let register = register(number(), Data::U32, false, 1.0, 0.0);
        for answer in [
            Response::ReadHoldingRegisters(vec![]),
            Response::ReadHoldingRegisters(vec![1]),
            Response::ReadHoldingRegisters(vec![1, 2, 3]),
            Response::ReadInputRegisters(vec![1, 2]),
            Response::ReadCoils(vec![true]),
        ] {
            assert_eq!(register.value(&answer), None, "{answer:?}");
        }
    }
}
