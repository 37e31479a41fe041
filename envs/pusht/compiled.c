/* A control step of many Push-T tables in one call: Chipmunk's own functions, then what follows
 * from the states.
 *
 * It says what physics.py and geometry.py say, operation by operation and in the same order, so
 * that every number is equal to the bit. They are the reference; compiled.py puts their constants
 * (in upper case here) in front of this text, compiles it and compares before it is used.
 *
 * Nothing of Chipmunk is compiled or linked: its functions come from the library inside pymunk.
 */
#include <math.h>
#include <stdint.h>

typedef struct { double x, y; } Vector; /* cpVect */
typedef struct { void *space, *agent, *block; } Table;

typedef struct { /* the order of compiled.py's FUNCTIONS */
    void (*set_velocity)(void *body, Vector velocity);
    Vector (*velocity)(void *body);
    Vector (*position)(void *body);
    double (*angle)(void *body);
    void (*step)(void *space, double seconds);
    void (*each_contact)(void *space, void (*visit)(void *arbiter, void *data), void *data);
    int (*points)(void *arbiter);
} Engine;

typedef struct { const Engine *engine; int64_t points; } Count;

static const double corners[][2] = CORNERS, boxes[][4] = BOXES, keypoints[][2] = KEYPOINTS;
enum { CORNER_COUNT = sizeof corners / sizeof *corners, BOX_COUNT = sizeof boxes / sizeof *boxes,
       KEYPOINT_COUNT = sizeof keypoints / sizeof *keypoints };

static void count_points(void *arbiter, void *data)
{
    Count *count = data;
    count->points += count->engine->points(arbiter);
}

/* agent_velocities and PushTPhysics.follow; returns the contact points. */
static int64_t drive(const Engine *engine, const Table *table, double target_x, double target_y)
{
    Vector position = engine->position(table->agent), velocity = engine->velocity(table->agent);
    Count count = {engine, 0};
    for (int step = 0; step < PHYSICS_STEPS; step++) {
        double x = STIFFNESS * (target_x - position.x) - DAMPING * velocity.x;
        double y = STIFFNESS * (target_y - position.y) - DAMPING * velocity.y;
        velocity.x = velocity.x + x * TIME_STEP;
        velocity.y = velocity.y + y * TIME_STEP;
        position.x = position.x + velocity.x * TIME_STEP;
        position.y = position.y + velocity.y * TIME_STEP;
        engine->set_velocity(table->agent, velocity);
        engine->step(table->space, TIME_STEP);
        engine->each_contact(table->space, count_points, &count);
    }
    return count.points;
}

static double clamped(double value, double low, double high)
{
    return value < low ? low : high < value ? high : value;
}

static double mean_clamped(double start, double end, double low, double high)
{
    double first = clamped(start, low, high), last = clamped(end, low, high);
    if (first == last)
        return first;
    double sum = first * fabs(first - start) + last * fabs(end - last);
    return (sum + 0.5 * (first + last) * fabs(last - first)) / fabs(end - start);
}

/* geometry.coverage */
static double coverage(double block_x, double block_y, double angle)
{
    double dx = block_x - GOAL_X, dy = block_y - GOAL_Y, turn = angle - GOAL_ANGLE;
    double c = cos(turn), s = sin(turn);
    double x = GOAL_COS * dx + GOAL_SIN * dy, y = GOAL_COS * dy - GOAL_SIN * dx;
    double from_goal_x = x - s * GRAVITY_CENTER_Y;
    double from_goal_y = y + c * GRAVITY_CENTER_Y - GRAVITY_CENTER_Y;
    if (from_goal_x * from_goal_x + from_goal_y * from_goal_y > TOUCHING_DISTANCE_SQUARED)
        return 0.0;
    double xs[CORNER_COUNT], ys[CORNER_COUNT], area = 0.0;
    for (int i = 0; i < CORNER_COUNT; i++) {
        xs[i] = x + c * corners[i][0] - s * corners[i][1];
        ys[i] = y + s * corners[i][0] + c * corners[i][1];
    }
    for (int box = 0; box < BOX_COUNT; box++) {
        double x_min = boxes[box][0], x_max = boxes[box][1];
        double y_min = boxes[box][2], y_max = boxes[box][3];
        double x0 = xs[CORNER_COUNT - 1], y0 = ys[CORNER_COUNT - 1];
        double left = clamped(x0, x_min, x_max);
        for (int i = 0; i < CORNER_COUNT; i++) {
            double x1 = xs[i], y1 = ys[i], right = clamped(x1, x_min, x_max);
            if (left != right) {
                double slope = (y1 - y0) / (x1 - x0);
                area += (left - right) * mean_clamped(
                    y0 + slope * (left - x0), y0 + slope * (right - x0), y_min, y_max);
            }
            x0 = x1, y0 = y1, left = right;
        }
    }
    return clamped(area / T_AREA, 0.0, 1.0);
}

/* observations.observe of "keypoints" */
static void observe(const double *state, double *observation)
{
    double c = cos(state[4]), s = sin(state[4]);
    for (int i = 0; i < KEYPOINT_COUNT; i++) {
        double u = keypoints[i][0], v = keypoints[i][1];
        *observation++ = state[2] + c * u - s * v;
        *observation++ = state[3] + s * u + c * v;
    }
    *observation++ = state[0];
    *observation = state[1];
}

/* One control step of the `count` tables whose indices are in `live`, towards `targets` (count, 2).
 * What it gives is written to the rows of these tables: states (N, 5), velocities (N, 2),
 * contacts (N,), covered (N,) and, unless it is null, observations (N, 20).
 */
void step_tables(const Engine *engine, const Table *tables, int64_t count, const int64_t *live,
                 const double *targets, double *states, double *velocities, int64_t *contacts,
                 double *covered, double *observations)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t index = live[i];
        const Table *table = tables + index;
        int64_t points = drive(engine, table, targets[2 * i], targets[2 * i + 1]);
        Vector agent = engine->position(table->agent), block = engine->position(table->block);
        Vector velocity = engine->velocity(table->agent);
        double *state = states + 5 * index;
        state[0] = agent.x, state[1] = agent.y;
        state[2] = block.x, state[3] = block.y, state[4] = engine->angle(table->block);
        velocities[2 * index] = velocity.x, velocities[2 * index + 1] = velocity.y;
        contacts[index] = (points + PHYSICS_STEPS - 1) / PHYSICS_STEPS;
        covered[index] = coverage(state[2], state[3], state[4]);
        if (observations)
            observe(state, observations + (2 * KEYPOINT_COUNT + 2) * index);
    }
}
