//! Minimal ONNX writer: the wire format of protocol buffers, and the messages of `onnx.proto` that
//! [`crate::dlib`] needs.

/// Encoder of one protocol buffer message.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, field: u32, value: u64) -> Self {
        self.push_varint(u64::from(field) << 3);
        self.push_varint(value);
        self
    }

    fn bytes(mut self, field: u32, bytes: &[u8]) -> Self {
        self.push_varint(u64::from(field) << 3 | 2);
        self.push_varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    fn each<T>(self, items: impl IntoIterator<Item = T>, write: impl Fn(Self, T) -> Self) -> Self {
        items.into_iter().fold(self, write)
    }

    fn push_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// Builder of a network. Values are named after the operator that computes them.
#[derive(Default)]
pub(crate) struct Graph {
    nodes: Vec<Vec<u8>>,
    constants: Vec<Vec<u8>>,
    values: usize,
}

/// `TensorProto.DataType`
const FLOAT: u64 = 1;
const INT64: u64 = 7;
/// `AttributeProto.AttributeType`
const INTS: u64 = 7;

/// Attributes of a node; lists of integers are the only kind that is needed.
pub(crate) type Attributes<'a> = &'a [(&'a str, &'a [u64])];

impl Graph {
    pub(crate) fn floats(&mut self, dims: &[u64], values: &[f32]) -> String {
        self.constant(dims, FLOAT, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    pub(crate) fn integers(&mut self, values: &[i64]) -> String {
        self.constant(&[values.len() as u64], INT64, values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }

    fn constant(&mut self, dims: &[u64], data_type: u64, raw: Vec<u8>) -> String {
        let name = format!("constant_{}", self.constants.len());
        let tensor = Message::default()
            .each(dims, |m, d| m.varint(1, *d))
            .varint(2, data_type)
            .bytes(8, name.as_bytes())
            .bytes(9, &raw);
        self.constants.push(tensor.0);
        name
    }

    /// Adds a node; the name of its output.
    pub(crate) fn node(&mut self, operator: &str, inputs: &[&str], attributes: Attributes<'_>) -> String {
        self.values += 1;
        let output = format!("{}_{}", operator.to_lowercase(), self.values);
        let attribute = |(name, values): &(&str, &[u64])| {
            Message::default().bytes(1, name.as_bytes()).each(*values, |m, v| m.varint(8, *v)).varint(20, INTS).0
        };
        let node = Message::default()
            .each(inputs, |m, i| m.bytes(1, i.as_bytes()))
            .bytes(2, output.as_bytes())
            .bytes(3, output.as_bytes())
            .bytes(4, operator.as_bytes())
            .each(attributes, |m, a| m.bytes(5, &attribute(a)));
        self.nodes.push(node.0);
        output
    }

    /// Encodes the file. `input` and `output` have a name and a shape, in which `None` is dynamic.
    pub(crate) fn write(self, input: (&str, &[Option<u64>]), output: (&str, &[Option<u64>])) -> Vec<u8> {
        /// Version of the operator set.
        const OPSET: u64 = 16;
        /// Version of the file format that this operator set needs.
        const IR: u64 = 8;
        let dim = |size: &Option<u64>| match size {
            Some(n) => Message::default().varint(1, *n),
            None => Message::default().bytes(2, b"batch"),
        };
        let value = |(name, dims): (&str, &[Option<u64>])| {
            let shape = Message::default().each(dims, |m, d| m.bytes(1, &dim(d).0));
            let tensor = Message::default().varint(1, FLOAT).bytes(2, &shape.0);
            Message::default().bytes(1, name.as_bytes()).bytes(2, &Message::default().bytes(1, &tensor.0).0).0
        };
        let graph = Message::default()
            .each(&self.nodes, |m, n| m.bytes(1, n))
            .bytes(2, b"network")
            .each(&self.constants, |m, c| m.bytes(5, c))
            .bytes(11, &value(input))
            .bytes(12, &value(output));
        let opset = Message::default().bytes(1, b"").varint(2, OPSET);
        Message::default().varint(1, IR).bytes(2, b"ocellus xtask").bytes(7, &graph.0).bytes(8, &opset.0).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the encoding's documentation (protobuf.dev).
    #[test]
    fn messages_are_encoded_as_in_the_documentation() {
        assert_eq!(Message::default().varint(1, 150).0, [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().bytes(2, b"testing").0, [&[0x12, 0x07][..], b"testing"].concat());
    }
}
