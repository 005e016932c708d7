// onnxruntime through its C interface, loaded at run time: one binary runs with any version from
// 1.15 on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bytes.h"

namespace fadecast {

struct OrtTable;

// A tensor of float32 and its shape. Graphs read and write these in place.
struct Tensor {
  std::vector<std::int64_t> shape;
  Floats data;

  explicit Tensor(std::vector<std::int64_t> shape_);
};

// The library and its environment. Throws Error(kNoRuntime) if it cannot be loaded.
class Runtime {
 public:
  explicit Runtime(const std::string& library);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  const std::string& version() const { return version_; }

 private:
  friend class Graph;
  void check(void* status) const;
  const OrtTable* table_ = nullptr;
  void* env_ = nullptr;
  std::string version_;
};

// One ONNX graph. Throws Error(kRefused) if onnxruntime refuses it or a call of it.
class Graph {
 public:
  Graph(const Runtime& runtime, const Bytes& model, std::vector<std::string> inputs,
        std::vector<std::string> outputs);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  // Inputs and outputs in the order of their names; outputs have the right shape already.
  void run(const std::vector<Tensor*>& inputs, const std::vector<Tensor*>& outputs) const;

 private:
  const Runtime& runtime_;
  void* session_ = nullptr;
  void* memory_ = nullptr;
  std::vector<std::string> inputs_, outputs_;
};

}  // namespace fadecast
