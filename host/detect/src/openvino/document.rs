//! The XML half of an OpenVINO network: layers, their ports and the edges between them.
//!
//! Source: "Intermediate Representation and Operation Sets" of the OpenVINO documentation, IR
//! versions 10 and 11. Does not read the weights. Guarantees that every input of every layer is
//! connected, that layers are in topological order, and that all shapes are fixed.

use std::collections::HashMap;

use roxmltree::{Document, Node, ParsingOptions};

/// Limit of the elements and attributes of a file; a network of a thousand layers has a tenth of
/// it.
const MAX_NODES: u32 = 4_000_000;
/// Limit of the axes of a value; no known layer has more.
const MAX_RANK: usize = 8;
/// Limit of the numbers in a value, 512 MB: far above the largest value of a runnable network for a
/// picture of 4096 by 4096 pixels.
const MAX_VALUES: usize = 1 << 27;

/// A network.
#[derive(Debug)]
pub(super) struct Graph {
    /// In topological order.
    pub(super) layers: Vec<Layer>,
}

/// An operation, or a constant.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) name: String,
    /// The operation, such as `Convolution`.
    pub(super) kind: String,
    /// The operation set that defines it, 1 to 11.
    pub(super) opset: u32,
    attributes: HashMap<String, String>,
    /// In the order of the operation's inputs.
    pub(super) inputs: Vec<Origin>,
    pub(super) outputs: Vec<Port>,
}

/// Origin of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    /// Index in [`Graph::layers`].
    pub(super) layer: usize,
    /// Index in [`Layer::outputs`].
    pub(super) output: usize,
}

/// An output of a layer.
#[derive(Debug)]
pub(super) struct Port {
    /// Empty for a scalar.
    pub(super) dims: Vec<usize>,
}

impl Layer {
    /// The text of an attribute.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(|value| value.trim())
    }

    /// A number, or `otherwise` where the attribute is absent.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str, otherwise: T) -> Result<T, String> {
        self.text(name).map_or(Ok(otherwise), |text| text.parse().map_err(|_| format!("{name}: {text:?} is no number")))
    }

    /// `true` or `1`, `false` or `0`; or `otherwise` where the attribute is absent.
    pub(super) fn flag(&self, name: &str, otherwise: bool) -> Result<bool, String> {
        match self.text(name) {
            None => Ok(otherwise),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(text) => Err(format!("{name}: {text:?} is neither true nor false")),
        }
    }

    /// Numbers separated by commas; empty where the attribute is absent or empty.
    pub(super) fn list<T: std::str::FromStr>(&self, name: &str) -> Result<Vec<T>, String> {
        let text = self.text(name).unwrap_or_default();
        if text.is_empty() {
            return Ok(Vec::new());
        }
        text.split(',').map(|part| part.trim().parse().map_err(|_| format!("{name}: {part:?} is no number"))).collect()
    }

    /// Shape of the only output, or of the first.
    pub(super) fn dims(&self) -> Result<&[usize], String> {
        self.outputs.first().map(|port| port.dims.as_slice()).ok_or_else(|| "no output".into())
    }

    /// For errors: the operation, its set and the layer's name.
    pub(super) fn describe(&self) -> String {
        format!("{} of opset{} in {}", self.kind, self.opset, self.name)
    }
}

/// Parses the text of an `.xml` file.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn parse(text: &str) -> Result<Graph, String> {
    let options = ParsingOptions { allow_dtd: false, nodes_limit: MAX_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|e| e.to_string())?;
    let net = document.root_element();
    if !net.has_tag_name("net") {
        return Err(format!("<{}>, where an OpenVINO network begins with <net>", net.tag_name().name()));
    }
    match net.attribute("version") {
        Some("10" | "11") => {}
        other => {
            return Err(format!("IR version {}; 10 and 11 can be read", other.unwrap_or("unknown")));
        }
    }
    let mut parsed = Vec::new();
    for node in child(net, "layers")?.children().filter(Node::is_element) {
        parsed.push(ParsedLayer::read(node)?);
    }
    connect(parsed, child(net, "edges")?)
}

fn child<'a, 'input>(parent: Node<'a, 'input>, name: &str) -> Result<Node<'a, 'input>, String> {
    let found = parent.children().find(|node| node.has_tag_name(name));
    found.ok_or_else(|| format!("no <{name}> in <{}>", parent.tag_name().name()))
}

fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str, String> {
    node.attribute(name).ok_or_else(|| format!("no {name} in a <{}>", node.tag_name().name()))
}

/// A layer whose inputs are not connected yet.
struct ParsedLayer {
    id: String,
    layer: Layer,
    /// Ids of the ports, in their order.
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl ParsedLayer {
    fn read(node: Node<'_, '_>) -> Result<Self, String> {
        let (id, name, kind) = (attribute(node, "id")?, attribute(node, "name")?, attribute(node, "type")?);
        let version = attribute(node, "version")?;
        let opset = version.strip_prefix("opset").and_then(|n| n.parse().ok()).filter(|n| (1..=11).contains(n));
        let opset = opset.ok_or_else(|| format!("{kind} of {version} in {name}; opset1 to opset11 can be read"))?;
        let data = node.children().find(|child| child.has_tag_name("data"));
        let attributes = data.into_iter().flat_map(|data| data.attributes());
        let attributes = attributes.map(|a| (a.name().to_owned(), a.value().to_owned())).collect();
        let ports = |name| {
            let list = node.children().find(|child| child.has_tag_name(name));
            list.into_iter().flat_map(|list| list.children()).filter(|port| port.has_tag_name("port"))
        };
        let id_of = |port: Node<'_, '_>| attribute(port, "id").map(str::to_owned);
        let inputs = ports("input").map(id_of).collect::<Result<_, _>>()?;
        let mut outputs = Vec::new();
        let mut shapes = Vec::new();
        for port in ports("output") {
            outputs.push(id_of(port)?);
            shapes.push(Port { dims: dims(port).map_err(|reason| format!("{kind} in {name}: {reason}"))? });
        }
        let (name, kind) = (name.to_owned(), kind.to_owned());
        let layer = Layer { name, kind, opset, attributes, inputs: Vec::new(), outputs: shapes };
        Ok(Self { id: id.to_owned(), layer, inputs, outputs })
    }
}

fn dims(port: Node<'_, '_>) -> Result<Vec<usize>, String> {
    let dims = port.children().filter(|child| child.has_tag_name("dim"));
    let dims = dims.map(|dim| {
        let text = dim.text().unwrap_or_default().trim();
        text.parse::<u32>()
            .map(|n| n as usize)
            .map_err(|_| format!("a dimension of {text:?}; convert the network with a fixed input shape"))
    });
    let dims: Vec<usize> = dims.collect::<Result<_, _>>()?;
    if dims.len() > MAX_RANK {
        return Err(format!("a value of rank {}", dims.len()));
    }
    bounded(&dims)?;
    Ok(dims)
}

/// Refuses a shape that is too large to allocate.
pub(super) fn bounded(dims: &[usize]) -> Result<(), String> {
    let count = dims.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
    match count {
        Some(count) if count <= MAX_VALUES => Ok(()),
        _ => Err(format!("a value of {dims:?}, of at most {MAX_VALUES} numbers")),
    }
}

/// Connects the inputs and sorts the layers.
fn connect(parsed: Vec<ParsedLayer>, edges: Node<'_, '_>) -> Result<Graph, String> {
    let mut layers: HashMap<&str, usize> = HashMap::with_capacity(parsed.len());
    let mut outputs: HashMap<(&str, &str), Origin> = HashMap::new();
    for (layer, found) in parsed.iter().enumerate() {
        if layers.insert(&found.id, layer).is_some() {
            return Err(format!("two layers of id {}", found.id));
        }
        for (output, port) in found.outputs.iter().enumerate() {
            outputs.insert((&found.id, port), Origin { layer, output });
        }
    }
    let mut origins: HashMap<(&str, &str), Origin> = HashMap::new();
    for edge in edges.children().filter(|child| child.has_tag_name("edge")) {
        let from = (attribute(edge, "from-layer")?, attribute(edge, "from-port")?);
        let to = (attribute(edge, "to-layer")?, attribute(edge, "to-port")?);
        let origin = outputs.get(&from).ok_or_else(|| format!("an edge from port {} of layer {}", from.1, from.0))?;
        origins.insert(to, *origin);
    }
    let mut inputs = Vec::with_capacity(parsed.len());
    for found in &parsed {
        let connected = found.inputs.iter().map(|port| origins.get(&(found.id.as_str(), port.as_str())).copied());
        let connected: Option<Vec<Origin>> = connected.collect();
        inputs.push(connected.ok_or_else(|| format!("{} has an input without an edge", found.layer.describe()))?);
    }
    drop((layers, outputs, origins));
    let order = sorted(&inputs)?;
    let mut place = vec![0; order.len()];
    for (new, &old) in order.iter().enumerate() {
        if let Some(place) = place.get_mut(old) {
            *place = new;
        }
    }
    let mut unsorted: Vec<Option<Layer>> = parsed
        .into_iter()
        .zip(inputs)
        .map(|(ParsedLayer { mut layer, .. }, mut inputs)| {
            for origin in &mut inputs {
                origin.layer = place.get(origin.layer).copied().unwrap_or_default();
            }
            layer.inputs = inputs;
            Some(layer)
        })
        .collect();
    let layers = order.iter().filter_map(|&old| unsorted.get_mut(old).and_then(Option::take)).collect();
    Ok(Graph { layers })
}

/// Indices of the layers in topological order, otherwise in that of the file (Kahn,
/// doi:10.1145/368996.369025).
fn sorted(inputs: &[Vec<Origin>]) -> Result<Vec<usize>, String> {
    let mut consumers: Vec<Vec<usize>> = vec![Vec::new(); inputs.len()];
    let mut missing: Vec<usize> = inputs.iter().map(Vec::len).collect();
    for (layer, origins) in inputs.iter().enumerate() {
        for origin in origins {
            if let Some(consumers) = consumers.get_mut(origin.layer) {
                consumers.push(layer);
            }
        }
    }
    let mut ready: std::collections::BTreeSet<usize> =
        missing.iter().enumerate().filter(|(_, n)| **n == 0).map(|(layer, _)| layer).collect();
    let mut order = Vec::with_capacity(inputs.len());
    while let Some(layer) = ready.pop_first() {
        order.push(layer);
        for &consumer in consumers.get(layer).map(Vec::as_slice).unwrap_or_default() {
            if let Some(missing) = missing.get_mut(consumer) {
                *missing -= 1;
                if *missing == 0 {
                    ready.insert(consumer);
                }
            }
        }
    }
    if order.len() == inputs.len() { Ok(order) } else { Err("layers that wait for each other".into()) }
}
