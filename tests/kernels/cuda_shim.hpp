// Runs CUDA kernels on the CPU. The threads of a block take turns, from barrier to barrier, in the order of
// their numbers; so a thread that reads what another one has still to write finds out.
#include <math.h>
#include <string.h>
#include <ucontext.h>

#define __global__
#define __device__
#define __shared__ static

struct Index { unsigned x; };
static Index threadIdx, blockIdx, blockDim;

static inline float __int_as_float(int bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline double __longlong_as_double(long long bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

namespace shim {

const unsigned most = 256;
ucontext_t threads[most], scheduler;
char stacks[most][1 << 16];
bool finished[most];
void (*kernel)(const void *);
const void *arguments;

void start()
{
    kernel(arguments);
    finished[threadIdx.x] = true;
}

// Return whether each barrier was reached by all threads of a block or by none.
template <class Call> bool walk(unsigned blocks, unsigned count, const Call &call)
{
    kernel = [](const void *given) { (*static_cast<const Call *>(given))(); };
    arguments = &call;
    blockDim.x = count;
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
        for (unsigned i = 0; i < count; ++i) {
            getcontext(&threads[i]);
            threads[i].uc_stack.ss_sp = stacks[i];
            threads[i].uc_stack.ss_size = sizeof stacks[i];
            threads[i].uc_link = &scheduler;
            makecontext(&threads[i], start, 0);
            finished[i] = false;
        }
        for (unsigned done = 0; done < count;) {
            done = 0;
            for (threadIdx.x = 0; threadIdx.x < count; ++threadIdx.x) {
                swapcontext(&scheduler, &threads[threadIdx.x]);
                done += finished[threadIdx.x];
            }
            if (done != 0 && done != count) return false;
        }
    }
    return true;
}

} // namespace shim

static inline void __syncthreads() { swapcontext(&shim::threads[threadIdx.x], &shim::scheduler); }
