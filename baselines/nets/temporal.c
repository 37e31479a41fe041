/* The small operations of a convolutional network over time, each in one pass over its data.

   Sequences are (B, T, C), contiguous, of `real`; REAL is float or double. What goes into a matrix
   product is stored as bfloat16 where products run in it (`narrow` is 1), else as `real`. Beside
   each function, temporal.py has what it equals in PyTorch's own operations. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef REAL real;
typedef uint16_t bfloat16;

static inline real widen(bfloat16 value) {
    uint32_t bits = (uint32_t)value << 16;
    float out;
    memcpy(&out, &bits, 4);
    return out;
}

static inline bfloat16 rounded(real value) { /* to nearest, ties to even; NaN stays NaN */
    float narrow = (float)value;
    uint32_t bits;
    memcpy(&bits, &narrow, 4);
    uint32_t nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fc0 : (bfloat16)nearest;
}

static inline void load(real *to, const void *from, long at, long count, int narrow) {
    if (narrow)
        for (long c = 0; c < count; c++) to[c] = widen(((const bfloat16 *)from)[at + c]);
    else
        memcpy(to, (const real *)from + at, count * sizeof(real));
}

static inline void store(void *to, long at, const real *from, long count, int narrow) {
    if (narrow)
        for (long c = 0; c < count; c++) ((bfloat16 *)to)[at + c] = rounded(from[c]);
    else
        memcpy((real *)to + at, from, count * sizeof(real));
}

/* e^x. For float a polynomial that compilers turn into vector instructions (Cephes), within 2 ulp. */
static inline real exponential(real x) {
    if (sizeof(real) == 8) return exp(x);
    float y = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : (float)x;
    float n = rintf(y * 1.44269504f);
    float r = (y - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t bits = ((int32_t)n + 127) << 23;
    float power;
    memcpy(&power, &bits, 4);
    return p * power;
}

/* The activation of each z, in place, and its derivative. */
static void activate(real *restrict z, real *restrict slope, long count, int mish) {
    if (mish)
        for (long c = 0; c < count; c++) {
            real e = exponential(z[c] < 20 ? z[c] : 20), n = e * (e + 2), w = n / (n + 2);
            slope[c] = w + z[c] * (1 - w * w) * (e / (1 + e));
            z[c] *= w;
        }
    else
        for (long c = 0; c < count; c++) {
            real s = 1 / (1 + exponential(-z[c]));
            slope[c] = s * (1 + z[c] * (1 - s));
            z[c] *= s;
        }
}

/* Windows of `kernel` steps, zeros around each sequence: x (B, T, C) to out (B, T', kernel * C).
   x is bfloat16 where `from_narrow` is 1, and out where `narrow` is. */
void windows(const void *x, void *out, long batch, long steps, long channels, long kernel,
             long before, long after, int from_narrow, int narrow) {
    long count = steps + before + after - kernel + 1;
    size_t size = narrow ? sizeof(bfloat16) : sizeof(real), row = channels * size;
    char *place = out;
    for (long b = 0; b < batch; b++)
        for (long t = 0; t < count; t++)
            for (long i = 0; i < kernel; i++, place += row) {
                long step = t - before + i;
                long at = (b * steps + step) * channels;
                if (step < 0 || step >= steps)
                    memset(place, 0, row);
                else if (from_narrow == narrow)
                    memcpy(place, (const char *)x + at * size, row);
                else
                    store(place, 0, (const real *)x + at, channels, 1);
            }
}

/* Per channel, from what is kept per group. */
static void spread(real *to, const real *from, long channels, long groups) {
    long each = channels / groups;
    for (long g = 0; g < groups; g++)
        for (long c = 0; c < each; c++) to[g * each + c] = from[g];
}

/* out = FiLM(activation(group norm(x + bias))) + residual, and mean and rstd (B, groups) of the norm.
   film (B, 2 C) and residual (B, T, C) may be null. */
void norm_forward(const void *x, const real *bias, const real *weight, const real *shift,
                  const real *film, const real *residual, real *out, real *mean, real *rstd,
                  long batch, long steps, long channels, long groups, double eps, int mish,
                  int narrow) {
    long size = steps * channels, each = channels / groups;
    real *values = malloc((size + 3 * channels) * sizeof(real));
    real *total = values + size, *square = total + channels, *slope = square + channels;
    for (long b = 0; b < batch; b++, mean += groups, rstd += groups) {
        memset(total, 0, 2 * channels * sizeof(real));
        for (long t = 0; t < steps; t++) {
            real *row = values + t * channels;
            load(row, x, b * size + t * channels, channels, narrow);
            for (long c = 0; c < channels; c++) {
                row[c] += bias[c];
                total[c] += row[c];
            }
        }
        for (long g = 0; g < groups; g++) {
            mean[g] = 0;
            for (long c = g * each; c < (g + 1) * each; c++) mean[g] += total[c];
            mean[g] /= steps * each;
        }
        spread(total, mean, channels, groups);
        for (long t = 0; t < steps; t++)
            for (long c = 0; c < channels; c++) {
                real off = values[t * channels + c] - total[c];
                square[c] += off * off;
            }
        for (long g = 0; g < groups; g++) {
            real sum = 0;
            for (long c = g * each; c < (g + 1) * each; c++) sum += square[c];
            rstd[g] = 1 / sqrt(sum / (steps * each) + eps);
        }
        spread(square, rstd, channels, groups);
        const real *scale = film ? film + b * 2 * channels : NULL;
        for (long t = 0; t < steps; t++) {
            const real *row = values + t * channels;
            real *to = out + b * size + t * channels;
            for (long c = 0; c < channels; c++)
                to[c] = (row[c] - total[c]) * square[c] * weight[c] + shift[c];
            activate(to, slope, channels, mish);
            if (scale)
                for (long c = 0; c < channels; c++) to[c] = to[c] * scale[c] + scale[channels + c];
            if (residual) {
                const real *other = residual + b * size + t * channels;
                for (long c = 0; c < channels; c++) to[c] += other[c];
            }
        }
    }
    free(values);
}

/* Gradients of norm_forward. `sums` (3, C), zero before, takes those of weight, shift and bias;
   grad_x is stored as x is; grad_film may be null. */
void norm_backward(const real *grad, const void *x, const real *bias, const real *weight,
                   const real *shift, const real *film, const real *mean, const real *rstd,
                   void *grad_x, real *sums, real *grad_film, long batch, long steps, long channels,
                   long groups, int mish, int narrow) {
    long size = steps * channels, each = channels / groups;
    real *hat = malloc((2 * size + 8 * channels) * sizeof(real));
    real *inner = hat + size, *middle = inner + size, *spreads = middle + channels;
    real *of_weight = spreads + channels, *of_shift = of_weight + channels;
    real *first = of_shift + channels, *second = first + channels;
    real *active = second + channels, *slope = active + channels;
    for (long b = 0; b < batch; b++, mean += groups, rstd += groups) {
        spread(middle, mean, channels, groups);
        spread(spreads, rstd, channels, groups);
        memset(of_weight, 0, 2 * channels * sizeof(real));
        const real *scale = film ? film + b * 2 * channels : NULL;
        real *of_scale = film ? grad_film + b * 2 * channels : NULL;
        if (film) memset(of_scale, 0, 2 * channels * sizeof(real));
        for (long t = 0; t < steps; t++) {
            real *h = hat + t * channels, *in = inner + t * channels;
            const real *g = grad + b * size + t * channels;
            load(h, x, b * size + t * channels, channels, narrow);
            for (long c = 0; c < channels; c++) {
                h[c] = (h[c] + bias[c] - middle[c]) * spreads[c];
                active[c] = h[c] * weight[c] + shift[c];
            }
            activate(active, slope, channels, mish);
            if (film)
                for (long c = 0; c < channels; c++) {
                    of_scale[c] += g[c] * active[c];
                    of_scale[channels + c] += g[c];
                    in[c] = g[c] * scale[c] * slope[c];
                }
            else
                for (long c = 0; c < channels; c++) in[c] = g[c] * slope[c];
            for (long c = 0; c < channels; c++) {
                of_weight[c] += in[c] * h[c];
                of_shift[c] += in[c];
            }
        }
        for (long g = 0; g < groups; g++) {
            real one = 0, two = 0;
            for (long c = g * each; c < (g + 1) * each; c++) {
                one += of_shift[c] * weight[c];
                two += of_weight[c] * weight[c];
            }
            for (long c = g * each; c < (g + 1) * each; c++) {
                first[c] = one / (steps * each);
                second[c] = two / (steps * each);
            }
        }
        for (long c = 0; c < channels; c++) {
            sums[c] += of_weight[c];
            sums[channels + c] += of_shift[c];
        }
        for (long t = 0; t < steps; t++) {
            real *h = hat + t * channels, *in = inner + t * channels;
            for (long c = 0; c < channels; c++) {
                in[c] = spreads[c] * (weight[c] * in[c] - first[c] - h[c] * second[c]);
                sums[2 * channels + c] += in[c];
            }
            store(grad_x, b * size + t * channels, in, channels, narrow);
        }
    }
    free(hat);
}
