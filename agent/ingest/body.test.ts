import { describe, expect, test } from '@jest/globals';
import { BodyBudget } from './body.js';

describe('the memory for bodies', () => {
  test('goes to promised frames first, and one tenant’s spare ones leave others theirs', () => {
    const budget = new BodyBudget(1000);
    expect(budget.take('flood', false, 200)).toBe(true);
    expect(budget.take('flood', false, 100)).toBe(false); // more than a quarter
    expect(budget.take('other', false, 250)).toBe(true);
    expect(budget.take('third', false, 100)).toBe(false); // spare ones hold almost half
    expect(budget.take('kept', true, 500)).toBe(true);
    expect(budget.take('kept', true, 100)).toBe(false);
    budget.give('flood', false, 200);
    expect(budget.take('kept', true, 100)).toBe(true);
    budget.give('kept', true, 600);
    budget.give('other', false, 250);
    expect(budget.heldBytes).toBe(0);
  });

  test('is there for a tenant’s first promised frame, whatever another’s promised ones hold', () => {
    const budget = new BodyBudget(1000);
    for (let i = 0; i < 10; i++) expect(budget.take('many', true, 100)).toBe(true);
    expect(budget.take('many', true, 100)).toBe(false);
    expect(budget.take('other', true, 100)).toBe(true);
    expect(budget.take('other', true, 100)).toBe(false);
    budget.give('many', true, 1000);
    expect(budget.take('other', true, 100)).toBe(true);
  });

  test('a body larger than all of it passes alone', () => {
    const budget = new BodyBudget(1000);
    expect(budget.take('large', true, 5000)).toBe(true);
    expect(budget.take('large', true, 1)).toBe(false);
    budget.give('large', true, 5000);
    expect(budget.take('small', true, 1)).toBe(true);
  });
});
