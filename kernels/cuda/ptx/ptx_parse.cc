// Reads what nvcc writes: entries, their parameters, registers, shared arrays, labels and instructions.
#include <cstring>
#include <unordered_map>

#include "ptx_operations.h"
#include "ptx_registers.h"
#include "ptx_words.h"

namespace redraft::cuda_ptx {
namespace {

size_t aligned(size_t bytes, size_t alignment) { return (bytes + alignment - 1) / alignment * alignment; }

// An operand as it is written.
struct Written {
  enum class Form { kName, kNumber, kAddress } form;
  std::string name;  // Of an address: its base.
  uint64_t bits = 0;
  int64_t offset = 0;
};

// Operands that stand in braces together.
struct Braces {
  size_t first, count;
};

class KernelParser {
 public:
  KernelParser(TokenReader& in, const std::vector<std::string>& dynamic_shared) : in_(in) {
    for (const char* name : kSpecialRegisters) registers_[name] = new_register(4);
    for (const std::string& name : dynamic_shared) dynamic_shared_.push_back(name);
  }

  Kernel parse() {
    kernel_.name = in_.take().text;
    in_.expect("(");
    while (!in_.take_if(")")) {
      in_.expect(".param");
      const Variable param = read_variable(in_);
      const size_t begin = aligned(kernel_.param_bytes, param.alignment);
      symbols_[param.name] = begin;
      kernel_.param_bytes = begin + param.bytes;
      in_.take_if(",");
    }
    read_performance_directives();
    in_.expect("{");
    for (size_t depth = 1; depth > 0;) {
      if (in_.take_if("}")) --depth;
      else if (in_.take_if("{")) ++depth;
      else read_statement();
    }
    finish();
    return std::move(kernel_);
  }

 private:
  void read_performance_directives() {
    while (!in_.is("{")) {
      const std::string directive = in_.take().text;
      if (directive != ".maxntid" && directive != ".minnctapersm") in_.refuse("unknown directive " + directive);
      const uint64_t count = in_.take_count();
      if (directive == ".maxntid") kernel_.threads_max = static_cast<uint32_t>(count);
      while (in_.take_if(",")) in_.take_count();
    }
  }

  void read_statement() {
    const Token& token = in_.peek();
    if (token.text == ".reg") return read_registers();
    if (token.text == ".shared") return read_shared();
    if (token.text == ".pragma") {
      in_.take(), in_.take();
      return in_.expect(";");
    }
    if (token.text.empty() || token.text[0] == '.') in_.refuse("unknown directive \"" + token.text + "\"");
    if (in_.peek(1).text == ":") {
      labels_[token.text] = static_cast<uint32_t>(kernel_.code.size());
      in_.take(), in_.take();
      return;
    }
    read_instruction();
  }

  void read_registers() {
    in_.take();
    const uint8_t bytes = type_bytes(in_.peek().text);
    if (!bytes) in_.refuse("registers of unknown type " + in_.peek().text);
    in_.take();
    do {
      const std::string name = in_.take().text;
      if (in_.take_if("<")) {
        const uint64_t count = in_.take_count();
        in_.expect(">");
        for (uint64_t i = 0; i < count; ++i) registers_[name + std::to_string(i)] = new_register(bytes);
      } else registers_[name] = new_register(bytes);  // One of an inner block hides that of the block before.
    } while (in_.take_if(","));
    in_.expect(";");
  }

  void read_shared() {
    in_.take();
    const Variable variable = read_variable(in_);
    const size_t begin = aligned(kernel_.shared_bytes, variable.alignment);
    symbols_[variable.name] = begin;
    kernel_.shared_bytes = begin + variable.bytes;
    in_.expect(";");
  }

  // Its number stands for its row until share_rows() finds one.
  Operand new_register(uint8_t bytes) {
    register_bytes_.push_back(bytes);
    return {static_cast<int32_t>(register_bytes_.size() - 1), bytes};
  }

  // The same value in each lane.
  Operand constant(uint64_t bits, uint8_t bytes) {
    const auto [place, is_new] = constants_.try_emplace({bits, bytes});
    if (!is_new) return place->second;
    const size_t begin = kernel_.constants.size();
    kernel_.constants.resize(begin + aligned(row_bytes(bytes), 32));
    if (bytes == kPredicate) bits = bits ? kAllLanes : 0;
    const uint32_t count = bytes == kPredicate ? 1 : kLanes, each = bytes == kPredicate ? 4 : bytes;
    for (uint32_t i = 0; i < count; ++i) std::memcpy(&kernel_.constants[begin + i * each], &bits, each);
    return place->second = {~static_cast<int32_t>(begin), bytes};
  }

  void read_instruction() {
    Instruction instruction;
    std::string text = "line " + std::to_string(in_.peek().line) + ":";
    if (in_.take_if("@")) {
      instruction.guard_negated = in_.take_if("!");
      const Operand guard = register_named(in_.take().text, kPredicate);
      instruction.guard = guard.row;
    }
    std::string opcode = in_.take().text;
    text += " " + opcode;
    std::vector<Written> written;
    std::vector<Braces> braces;
    while (!in_.is(";")) read_operand(written, braces, text);
    in_.take();
    if (opcode.starts_with("mov.") && !braces.empty())
      opcode += (braces[0].first == 0 ? "/unpack" : "/pack") + std::to_string(braces[0].count);
    resolve(opcode, written, instruction, text);
    kernel_.code.push_back(instruction);
    kernel_.texts.push_back(text);
  }

  void read_operand(std::vector<Written>& written, std::vector<Braces>& braces, std::string& text) {
    text += written.empty() ? " " : ", ";
    if (in_.take_if("{")) {
      const size_t first = written.size();
      text += "{";
      while (!in_.take_if("}")) {
        written.push_back(read_plain(text));
        if (in_.take_if(",")) text += ", ";
      }
      text += "}";
      braces.push_back({first, written.size() - first});
    } else if (in_.take_if("[")) {
      Written address = read_plain(text += "[");
      address.form = Written::Form::kAddress;
      if (in_.take_if("+")) {
        const std::string offset = in_.take().text;
        uint64_t bits = 0;
        if (!read_number(offset, &bits)) in_.refuse("an offset that is no number: " + offset);
        address.offset = static_cast<int64_t>(bits);
        text += "+" + offset;
      }
      in_.expect("]");
      written.push_back(address);
      text += "]";
    } else written.push_back(read_plain(text));
    if (!in_.is(";") && !in_.take_if("|")) in_.expect(",");
  }

  Written read_plain(std::string& text) {
    Written operand{Written::Form::kName, in_.take().text};
    text += operand.name;
    if (read_number(operand.name, &operand.bits)) operand.form = Written::Form::kNumber;
    return operand;
  }

  void resolve(const std::string& opcode, const std::vector<Written>& written, Instruction& instruction,
               const std::string& text) {
    const auto place = all_operations().find(opcode);
    if (place == all_operations().end()) in_.refuse("unknown instruction " + opcode);
    const Operation& operation = place->second;
    instruction.run = operation.run, instruction.kind = operation.kind;
    instruction.result_count = operation.result_count;
    if (operation.kind == Kind::kBranch && written.size() == 1) {
      branches_.emplace_back(kernel_.code.size(), written[0].name);
      return;
    }
    if (written.size() != operation.operands.size())
      in_.refuse("takes " + std::to_string(operation.operands.size()) + " operands: " + text);
    if (operation.kind == Kind::kBarrier && (written[0].form != Written::Form::kNumber || written[0].bits != 0))
      in_.refuse("a barrier other than 0: " + text);
    instruction.operand_count = static_cast<uint8_t>(written.size());
    for (size_t i = 0; i < written.size(); ++i)
      instruction.at[i] = operand_of(written[i], operation.operands[i], instruction);
  }

  Operand operand_of(const Written& written, uint8_t bytes, Instruction& instruction) {
    if ((written.form == Written::Form::kAddress) != (bytes == kAddress))
      in_.refuse("an address in the wrong place: " + written.name);
    if (bytes == kAddress) {
      instruction.offset = written.offset;
      if (written.name[0] == '%') return register_named(written.name, kAnyBytes);
      return constant(symbol_named(written.name), 8);
    }
    if (written.form == Written::Form::kNumber) return constant(written.bits, bytes == kAnyBytes ? 8 : bytes);
    if (written.name[0] == '%') return register_named(written.name, bytes);
    return constant(symbol_named(written.name), bytes == kAnyBytes ? 8 : bytes);
  }

  Operand register_named(const std::string& name, uint8_t bytes) const {
    const auto place = registers_.find(name);
    if (place == registers_.end()) in_.refuse("unknown register " + name);
    if (bytes != kAnyBytes && place->second.bytes != bytes) in_.refuse("a register of another width: " + name);
    return place->second;
  }

  uint64_t symbol_named(const std::string& name) const {
    if (const auto place = symbols_.find(name); place != symbols_.end()) return place->second;
    for (const std::string& dynamic : dynamic_shared_)
      if (dynamic == name) return aligned(kernel_.shared_bytes, 16);
    in_.refuse("unknown name " + name);
  }

  void finish() {
    for (const auto& [at, label] : branches_) {
      const auto place = labels_.find(label);
      if (place == labels_.end()) in_.refuse("unknown label " + label);
      kernel_.code[at].target = place->second;
    }
    kernel_.shared_bytes = aligned(kernel_.shared_bytes, 16);
    Instruction end;  // A body may end without one.
    end.kind = Kind::kReturn;
    kernel_.code.push_back(end);
    kernel_.texts.push_back("the end");
    share_rows(kernel_, register_bytes_);
  }

  TokenReader& in_;
  Kernel kernel_;
  std::unordered_map<std::string, Operand> registers_;
  std::vector<uint8_t> register_bytes_;
  std::map<std::pair<uint64_t, uint8_t>, Operand> constants_;
  std::unordered_map<std::string, size_t> symbols_;  // Offsets of parameters, and of shared arrays.
  std::vector<std::string> dynamic_shared_;
  std::unordered_map<std::string, uint32_t> labels_;
  std::vector<std::pair<size_t, std::string>> branches_;
};

}  // namespace

std::map<std::string, Kernel> parse_ptx(const std::string& text) {
  TokenReader in(cut_tokens(text));
  std::map<std::string, Kernel> kernels;
  std::vector<std::string> dynamic_shared;
  while (!in.peek().text.empty()) {
    if (in.take_if(".version") || in.take_if(".target") || in.take_if(".address_size")) {
      in.take();
    } else if (in.take_if(".extern")) {
      in.expect(".shared");
      dynamic_shared.push_back(read_variable(in).name);
      in.expect(";");
    } else if (in.take_if(".visible") || in.is(".entry")) {
      in.expect(".entry");
      Kernel kernel = KernelParser(in, dynamic_shared).parse();
      kernels.emplace(kernel.name, std::move(kernel));
    } else in.refuse("unknown directive \"" + in.peek().text + "\"");
  }
  return kernels;
}

}  // namespace redraft::cuda_ptx
