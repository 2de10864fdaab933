// The classes that JavaScript sees. They are thin: names and types cross here, the work is in native/core. src/runtime/native.ts
// gives them the shape of the executor contract.
#pragma once
#include <napi.h>

#include <memory>
#include <vector>

#include "../core/pool.hpp"
#include "../core/runner.hpp"
#include "../core/store.hpp"
#include "../core/variants.hpp"

namespace braid::addon {

class StoreObject : public Napi::ObjectWrap<StoreObject> {
 public:
  static Napi::FunctionReference define(Napi::Env env);
  explicit StoreObject(const Napi::CallbackInfo& info);
  Store& store() { return store_; }

 private:
  Napi::Value tensor(const Napi::CallbackInfo& info);
  void remove(const Napi::CallbackInfo& info);
  void clear(const Napi::CallbackInfo& info);
  Napi::Value bytes(const Napi::CallbackInfo& info);

  Store store_;
};

// Threads and an instruction set.
class EngineObject : public Napi::ObjectWrap<EngineObject> {
 public:
  static Napi::FunctionReference define(Napi::Env env);
  explicit EngineObject(const Napi::CallbackInfo& info);
  const KernelTable& kernels() const { return kernels_; }
  const std::shared_ptr<ThreadPool>& pool() const { return pool_; }

 private:
  Napi::Value load(const Napi::CallbackInfo& info);
  Napi::Value isa(const Napi::CallbackInfo& info);

  std::string isa_;
  KernelTable kernels_;
  std::shared_ptr<ThreadPool> pool_;
};

// Made by EngineObject::load only.
class ProgramObject : public Napi::ObjectWrap<ProgramObject> {
 public:
  static Napi::FunctionReference define(Napi::Env env);
  explicit ProgramObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value view(const Napi::CallbackInfo& info);
  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value runHere(const Napi::CallbackInfo& info);
  void dispose(const Napi::CallbackInfo& info);
  const std::shared_ptr<Runner>& loaded() const;

  std::shared_ptr<Runner> runner_;
};

struct Classes {
  Napi::FunctionReference store;
  Napi::FunctionReference engine;
  Napi::FunctionReference program;
};

// Memory as an ArrayBuffer that keeps it alive; it is not copied.
Napi::ArrayBuffer share(Napi::Env env, std::byte* data, size_t bytes, std::shared_ptr<Memory> owner);

// Runs `body`, and turns any C++ exception into a JavaScript one; `code` is `memory` when the system had no more of it.
template <typename Body>
auto guarded(Napi::Env env, const Body& body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (const OutOfMemory& error) {
    Napi::Error thrown = Napi::Error::New(env, error.what());
    thrown.Set("code", "memory");
    throw thrown;
  } catch (const std::exception& error) {
    throw Napi::Error::New(env, error.what());
  }
}

}  // namespace braid::addon
