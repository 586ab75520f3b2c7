/** All results, or the first error once everything has stopped: nothing goes on working for an operation that failed. */
export async function allOrNone<T>(work: readonly Promise<T>[], stop: () => void): Promise<T[]> {
  try {
    return await Promise.all(work);
  } catch (error) {
    stop();
    await Promise.allSettled(work);
    throw error;
  }
}
