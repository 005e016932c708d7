#include "audit.h"

#include <set>
#include <string_view>

namespace fadecast {
namespace {

// As PORTABLE in fadecast.runtime.audit; a test compares the two.
const std::set<std::string_view> kPortable = {
    "Abs", "Add", "And", "Cast", "Clip", "Concat", "CumSum", "Div", "Equal", "Exp", "Expand",
    "Gather", "GatherND", "Gemm", "Greater", "Less", "LessOrEqual", "Log", "MatMul", "Max",
    "Min", "Mul", "Neg", "Not", "Or", "Pow", "ReduceL2", "ReduceLogSumExp", "ReduceMax",
    "ReduceMean", "ReduceMin", "ReduceSum", "Relu", "Reshape", "Shape", "Sigmoid", "Slice",
    "Softplus", "Softsign", "Split", "Sqrt", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze",
    "Where"};

enum Model { kGraph = 7, kTraining = 20, kFunction = 25 };
enum Graph { kNode = 1, kInitializer = 5, kSparse = 15 };
enum Node { kOpType = 4, kAttribute = 5, kDomain = 7 };
enum Attribute { kTensor = 5, kInner = 6, kTensors = 10, kInners = 11 };
enum Tensor { kExternal = 13, kLocation = 14 };

struct Broken {};

// The fields of a protobuf message, one after the other.
struct Fields {
  std::string_view data;
  std::uint64_t field = 0, number = 0;
  std::string_view body;
  bool is_number = false;

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (data.empty()) throw Broken();
      const auto byte = static_cast<std::uint8_t>(data.front());
      data.remove_prefix(1);
      value |= static_cast<std::uint64_t>(byte & 127) << shift;
      if (byte < 128) return value;
    }
    throw Broken();
  }

  bool next() {
    if (data.empty()) return false;
    const std::uint64_t key = varint();
    field = key >> 3, is_number = (key & 7) == 0;
    if (is_number) return number = varint(), true;
    std::uint64_t size = 0;
    switch (key & 7) {
      case 1: size = 8; break;
      case 2: size = varint(); break;
      case 5: size = 4; break;
      default: throw Broken();
    }
    if (size > data.size()) throw Broken();
    body = data.substr(0, size);
    data.remove_prefix(size);
    return true;
  }

  Fields inside() const {
    if (is_number) throw Broken();
    return Fields{body, 0, 0, {}, false};
  }
};

bool is_external(Fields tensor) {
  while (tensor.next())
    if (tensor.field == kExternal ||
        (tensor.field == kLocation && !(tensor.is_number && tensor.number == 0)))
      return true;
  return false;
}

// A file may hold any bytes; a message is one line of a log.
std::string printable(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c < ' ' || c > '~') c = '?';
  return out;
}

std::string audit_node(Fields node) {
  std::string_view name, domain;
  while (node.next()) {
    if (node.field == kOpType) name = node.inside().data;
    if (node.field == kDomain) domain = node.inside().data;
    if (node.field != kAttribute) continue;
    for (Fields part = node.inside(); part.next();) {
      if (part.field == kInner || part.field == kInners) return "a node holds a graph of its own";
      if ((part.field == kTensor || part.field == kTensors) && is_external(part.inside()))
        return "a tensor lies outside of the file";
    }
  }
  if ((domain.empty() || domain == "ai.onnx") && kPortable.count(name)) return "";
  return "operator '" + printable(name) + "' is not on the list of portable ones";
}

std::string audit_graph(Fields graph) {
  while (graph.next()) {
    if (graph.field == kSparse) return "it holds a sparse tensor";
    if (graph.field == kInitializer && is_external(graph.inside()))
      return "a tensor lies outside of the file";
    if (graph.field == kNode) {
      const std::string reason = audit_node(graph.inside());
      if (!reason.empty()) return reason;
    }
  }
  return "";
}

}  // namespace

std::string audit(const Bytes& data) {
  try {
    Fields model{{reinterpret_cast<const char*>(data.data()), data.size()}, 0, 0, {}, false};
    int graphs = 0;
    std::string reason;
    while (model.next()) {
      if (model.field == kTraining || model.field == kFunction)
        return "it holds functions or training steps";
      if (model.field == kGraph && ++graphs == 1) reason = audit_graph(model.inside());
    }
    return graphs == 1 ? reason : "it holds no graph";
  } catch (const Broken&) {
    return "it is no ONNX graph";
  }
}

}  // namespace fadecast
